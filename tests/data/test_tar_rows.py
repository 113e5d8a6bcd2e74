"""Rows of tars: listing and streaming agree, and every file is in a row or named."""

from __future__ import annotations

import io
import logging
import re
import tarfile
import tempfile
import time
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hsae.data.samples import load_samples
from hsae.data.stream import stream_samples
from hsae.errors import InputError, LabelError
from tests.data.conftest import CAT, DOG, OAK, png

NAMES = {"cat": CAT, "dog": DOG, "oak": OAK}


def write(path: Path, content: dict[str, bytes | None] | list[tuple[str, bytes | None]]) -> Path:
    """A tar of these files; None makes a link to the first one."""
    content = list(content.items()) if isinstance(content, dict) else content
    with tarfile.open(path, "w") as tar:
        for name, data in content:
            member = tarfile.TarInfo(name)
            if data is None:
                member.type, member.linkname = tarfile.LNKTYPE, content[0][0]
            else:
                member.size = len(data)
            tar.addfile(member, io.BytesIO(data or b""))
    return path


def rows(samples) -> list[tuple[str, int, str | None] | None]:
    """Key, shade and class of every row; None for a broken one."""
    return [s and (s.key, s.image.getpixel((0, 0))[0], s.wnid) for _, s in samples.rows()]


def both(path: Path) -> list[tuple[str, int, str | None] | None]:
    listed = rows(load_samples(path, label_map=NAMES))
    assert rows(stream_samples(path, label_map=NAMES)) == listed
    return listed


EXAMPLES = {
    "several dots": (
        {"22.05.jpg": png(1), "22.05.cls": b"cat", "22.06.jpg": png(2), "22.06.cls": b"dog"},
        [("22.05", 1, CAT), ("22.06", 2, DOG)],
    ),
    "a crop with the label of its number": ({"0003.cls": b"cat", "0003.crop.jpg": png(3)}, [("0003.crop", 3, CAT)]),
    "left and right of one label": (
        {"1.left.jpg": png(1), "1.right.jpg": png(2), "1.cls": b"oak"},
        [("1.left", 1, OAK), ("1.right", 2, OAK)],
    ),
    "no shared key": ({"left.jpg": png(1), "right.png": png(2)}, [("left", 1, None), ("right", 2, None)]),
    "images of several kinds": (
        {"1.jpg": png(1), "1.cls": b"cat", "2.webp": png(2), "3.PNG": png(3), "3.json": b'{"label": "dog"}'},
        [("1", 1, CAT), ("2", 2, None), ("3", 3, DOG)],
    ),
    "ids": ({"1.jpg": png(1), "1.cls": CAT.encode(), "2.jpg": png(2), "2.cls": b"dog"}, [("1", 1, CAT), ("2", 2, DOG)]),
    "folders with dots": ({"./a.b/1.png": png(1), "a.b/1.cls": b"cat"}, [("a.b/1", 1, CAT)]),
    "a mask beside its image": ({"4.mask.png": png(9), "4.png": png(4), "4.cls": b"cat"}, [("4", 4, CAT)]),
    "a label of its own": (
        {"4.png": png(4), "4.cls": b"cat", "4.5.png": png(5), "4.5.cls": b"dog"},
        [("4", 4, CAT), ("4.5", 5, DOG)],
    ),
    "a label without image": ({"1.png": png(1), "2.cls": b"cat"}, [("1", 1, None), None]),
    "a link": ({"1.png": png(1), "2.png": None}, [("1", 1, None), None]),
    "hidden files between": ({"1.png": png(1), "._1.png": b"x", "1.cls": b"cat"}, [("1", 1, CAT)]),
    "a file twice": ([("1.png", png(1)), ("1.png", png(2))], [("1", 1, None)]),
}


@pytest.mark.parametrize(("content", "expected"), EXAMPLES.values(), ids=EXAMPLES)
def test_examples(content, expected, tmp_path):
    assert both(write(tmp_path / "a.tar", content)) == expected


@contextmanager
def unread_files():
    """The names in the log of what is no part of a row."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    log = logging.getLogger("hsae.data")
    log.addHandler(handler)
    names: list[str] = []
    try:
        yield names
    finally:
        log.removeHandler(handler)
        told = [re.fullmatch(r"(\d+) file\(s\) of .* no part of a row and not read: (.*)", line) for line in lines]
        names += [name for found in told if found for name in found[2].split(", ")]
        assert len(names) == sum(int(found[1]) for found in told if found)


SUFFIXES = ("jpg", "png", "cls", "txt", "npy")
FILES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "a.1", "a.2", "a.1.x", "d/a", "d.e/a", ".h", "._a"]), st.sampled_from(SUFFIXES)
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.slow
@settings(max_examples=60)
@given(FILES, st.booleans())
@example([("a", "png"), ("b", "png"), ("a", "cls")], False)
@example([("a", "png"), ("a", "npy"), ("b", "png"), ("a.1.x", "npy")], False)
def test_listing_and_streaming_agree_and_no_file_is_lost(files, sort):
    names = [f"{stem}.{suffix}" for stem, suffix in (sorted(files) if sort else files)]
    content = [(n, b"cat" if n.endswith(("cls", "txt")) else png(at)) for at, n in enumerate(names)]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.tar", content)
        visible = [n for n in names if not n.rpartition("/")[2].startswith(".")]
        if not any(n.endswith(("jpg", "png")) for n in visible):
            for read in (load_samples, stream_samples):
                with pytest.raises(InputError, match=r"holds no images|not side by side"):
                    read(path, label_map=NAMES)
            return
        with unread_files() as unread:
            listing = load_samples(path, label_map=NAMES)
            listed = rows(listing)
        images = [name for name in names if name.endswith(("jpg", "png"))]
        named = [name for name in unread if name.endswith(("jpg", "png"))]
        assert len(images) == sum(row is not None for row in listed) + len(named)
        assert listed.count(None) == len(listing.skipped)
        assert {row[1] for row in listed if row} <= {at for at, n in enumerate(names) if n in images}
        groups = [n.rpartition("/")[0] + "/" + n.rpartition("/")[2].split(".")[0] for n in visible if n[-3:] != "npy"]
        runs = [group for group, _ in groupby(groups)]
        if len(set(runs)) < len(runs):
            with pytest.raises(InputError, match="not side by side"):
                rows(stream_samples(path, label_map=NAMES))
            return
        with unread_files() as unread_of_stream:
            stream = stream_samples(path, label_map=NAMES)
            assert rows(stream) == listed
        assert set(unread_of_stream) == set(unread)
        assert len(stream.skipped) == len(listing.skipped)


def test_an_unlabelled_tar_needs_no_map_and_a_late_label_is_not_lost(tmp_path):
    path = write(tmp_path / "a.tar", {f"{n}.png": png(n) for n in range(9)})
    assert rows(stream_samples(path)) == rows(load_samples(path)) == [(f"{n}", n, None) for n in range(9)]
    write(path, {f"{n}.png": png(n) for n in range(9)} | {"9.png": png(9), "9.cls": b"cat"})
    with pytest.raises(LabelError, match=r"row 9 of .* has the class 'cat'"):
        rows(stream_samples(path))
    with pytest.raises(LabelError, match="does not say which classes"):
        stream_samples(write(path, {"1.png": png(1), "1.cls": CAT.encode()}))


@pytest.mark.parametrize(("name", "content"), [("1.cls", b"\xff\xfe"), ("1.json", b"{"), ("1.txt", bytes(1_000_001))])
@pytest.mark.parametrize("read", [load_samples, stream_samples])
def test_what_can_be_no_label_is_named(name, content, read, tmp_path):
    path = write(tmp_path / "a.tar", {"0.png": png(0), "1.png": png(1), name: content})
    with pytest.raises(InputError, match=rf"{name} of a.tar is no label"):
        rows(read(path, label_map=NAMES))


def test_names_that_all_begin_alike_are_read_quickly_or_refused(tmp_path):
    """`frame.000001.jpg` and so on are one group, which a listing has to sort out without comparing all with all."""
    content = {}
    for n in range(4000):
        content |= {f"frame.{n:06}.png": b"", f"frame.{n:06}.cls": b"cat" if n % 2 else b"dog"}
    path = write(tmp_path / "a.tar", content)
    start = time.process_time()
    listing = load_samples(path, label_map=NAMES)
    assert time.process_time() - start < 10  # comparing all with all takes minutes
    assert [listing.key(row) for row in (0, 3999)] == ["frame.000000", "frame.003999"]
    assert [listing.classes[label] for label in listing.labels[:2]] == [DOG, CAT]
    with pytest.raises(InputError, match=r"over 1000 files of a.tar are called frame"):
        stream_samples(path, label_map=NAMES)


def test_what_is_no_tar_is_refused_before_it_is_streamed(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no tar at all" * 99)
    with pytest.raises(InputError, match="cannot be read"):
        stream_samples(tmp_path)


def test_a_tar_cut_short_says_where(tmp_path):
    path = write(tmp_path / "a.tar", {f"{n}.png": png(n) + bytes(600) for n in range(20)})
    path.write_bytes(path.read_bytes()[: 15 * 1536 + 700])
    stream = stream_samples(path)
    with pytest.raises(InputError, match=r"broke off after 1[45] rows"):
        list(stream)


def test_tars_are_shuffled_and_shared_like_other_files(tmp_path):
    for part in range(4):
        write(tmp_path / f"train-{part}.tar", {f"{n}.png": png(n) for n in range(part * 5, part * 5 + 5)})
    everything = {(f"{n}", n, None) for n in range(20)}
    assert set(rows(stream_samples(tmp_path))) == everything
    shuffled = rows(stream_samples(tmp_path, shuffle_seed=1))
    assert set(shuffled) == everything
    assert shuffled == rows(stream_samples(tmp_path, shuffle_seed=1)) != rows(stream_samples(tmp_path))
    for of in (2, 3):
        parts = [rows(stream_samples(tmp_path).shared(rank, of)) for rank in range(of)]
        assert sorted(row for part in parts for row in part) == sorted(everything)


def test_tars_of_the_hub(hub, monkeypatch, tmp_path):
    import datasets

    for name in ("HF_ENDPOINT", "HUB_DATASETS_URL"):
        old = getattr(datasets.config, name)
        monkeypatch.setattr(datasets.config, name, old.replace("https://huggingface.co", hub.endpoint))
    content, _ = EXAMPLES["left and right of one label"]
    tars = {f"train-0000{n}.tar": write(tmp_path / "a.tar", content).read_bytes() for n in range(2)}
    hub.publish("org/pets", tars, kind="datasets")
    expected = EXAMPLES["left and right of one label"][1] * 2
    assert rows(stream_samples("org/pets", label_map=NAMES)) == expected
    assert rows(load_samples("org/pets", label_map=NAMES)) == expected
    with pytest.raises(InputError, match="no split 'test'"):
        load_samples("org/pets", split="test", label_map=NAMES)

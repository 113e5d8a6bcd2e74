"""Streams: the same samples as a listing of the same files, fetched no further than they are read."""

from __future__ import annotations

import dataclasses
import io
import itertools
import tarfile
from itertools import chain

import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value
from huggingface_hub.errors import HTTPError

from hsae.data.samples import load_samples
from hsae.data.stream import stream_samples
from hsae.errors import InputError, LabelError
from tests.data.conftest import CAT, DOG, OAK, png

FEATURES = Features({"image": Image(), "label": ClassLabel(names=[DOG, CAT])})
ROWS = 23


def table(shades, labels, features=FEATURES) -> Dataset:
    images = [{"bytes": png(shade), "path": None} for shade in shades]
    return Dataset.from_dict({"image": images, "label": labels}, features=features)


def parquet(shades, labels, features=FEATURES) -> bytes:
    stream = io.BytesIO()
    table(shades, labels, features).to_parquet(stream)
    return stream.getvalue()


@pytest.fixture
def files(tmp_path):
    """Rows 0..22 by shade in three files; labels alternate, the last has none."""
    for number, rows in enumerate((range(10), range(10, 20), range(20, ROWS))):
        labels = [-1 if row == ROWS - 1 else row % 2 for row in rows]
        (tmp_path / f"train-{number}.parquet").write_bytes(parquet(rows, labels))
    return tmp_path


@pytest.fixture
def datasets_hub(hub, monkeypatch):
    """The Hub on loopback, for `datasets` too, which keeps addresses of its own."""
    import datasets

    for name in ("HF_ENDPOINT", "HUB_DATASETS_URL"):
        old = getattr(datasets.config, name)
        monkeypatch.setattr(datasets.config, name, old.replace("https://huggingface.co", hub.endpoint))
    return hub


def shade(sample) -> int:
    return sample.image.getpixel((0, 0))[0]


def seen(samples) -> list[tuple]:
    return [(shade(sample), sample.label, sample.wnid, sample.key) for sample in samples]


def test_a_stream_gives_what_a_listing_gives(files):
    stream, listing = stream_samples(files), load_samples(files)
    assert stream.classes == listing.classes == (DOG, CAT)
    assert stream.n_rows is None
    assert seen(stream) == seen(listing)
    assert stream.n_rows == stream.expected == ROWS
    assert seen(stream) == seen(listing), "a second pass begins at the first row"


@pytest.mark.parametrize("spans", [[(0, 5), (5, 12)], [(3, 4), (9, 12)], [(8, 9), (2, 3)], [(20, 40), (40, 50)]])
def test_any_span_is_that_of_the_listing(files, spans):
    stream, listing = stream_samples(files), load_samples(files)
    for start, stop in spans:
        rows = [(row, shade(sample)) for row, sample in stream.rows(start, stop)]
        assert rows == [(row, shade(sample)) for row, sample in listing.rows(start, stop)]


def test_going_on_does_not_open_the_source_again(files, monkeypatch):
    stream, opened = stream_samples(files), []
    source = type(stream._source)
    once = source.open
    monkeypatch.setattr(source, "open", lambda self: opened.append(1) or once(self))
    assert len([list(stream.rows(start, start + 4)) for start in (0, 4, 12)]) == 3
    assert not opened
    list(stream.rows(3, 5))
    assert len(opened) == 1


def test_the_end_behind_a_skip_is_where_the_rows_end(files):
    stream = stream_samples(files)
    assert list(stream.rows(100, 110)) == []
    assert stream.n_rows == ROWS


@pytest.mark.slow
def test_a_limit_is_the_end_and_shuffling_is_the_same_every_time(files):
    stream = stream_samples(files, limit=7)
    assert stream.expected == 7
    assert [shade(s) for s in stream] == list(range(7))
    assert stream.n_rows == 7
    assert [shade(s) for s in stream_samples(files).take(3)] == [0, 1, 2]
    shuffled = [[shade(s) for s in stream_samples(files, shuffle_seed=1, limit=15)] for _ in range(2)]
    assert shuffled[0] == shuffled[1] != list(range(15))
    assert len(set(shuffled[0])) == 15


@pytest.mark.parametrize("of", [2, 3])
def test_processes_share_the_rows(files, of):
    shares = [stream_samples(files).shared(rank, of) for rank in range(of)]
    parts = [[shade(sample) for sample in share] for share in shares]
    assert sorted(chain.from_iterable(parts)) == list(range(ROWS))
    assert all(parts)
    assert next(sample.key for sample in stream_samples(files).shared(1, of)) == f"row 0 of share 2/{of}"
    assert len({share.fingerprint for share in shares}) == of


def test_the_fingerprint_follows_files_classes_and_limit(files):
    stream = stream_samples(files)
    assert stream.fingerprint == stream_samples(files).fingerprint
    others = [stream.take(5), stream_samples(files, shuffle_seed=1), stream.relabelled({DOG: OAK, CAT: CAT})]
    others.append(stream_samples(sorted(files.glob("*.parquet"))[:2]))
    assert len({stream.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_labels_can_be_read_again_and_told_apart_from_the_images(files):
    stream, moved = stream_samples(files), stream_samples(files).relabelled({DOG: CAT, CAT: DOG})
    assert stream.classes == moved.classes
    assert stream.images_fingerprint == moved.images_fingerprint != stream.take(5).images_fingerprint
    assert stream.labelling == stream_samples(files).labelling != moved.labelling
    at = next(stream.rows(7))[0]
    assert stream.labels_at([0, 1, 7, 22]) == [0, 1, 1, None]
    assert moved.labels_at([0, 1, 7, 22]) == [1, 0, 0, None]
    assert next(stream.rows(8))[0] == at + 1


def test_a_stream_without_labels_needs_no_map(tmp_path):
    (tmp_path / "a.parquet").write_bytes(
        parquet([1, 2], ["x", "y"], Features({"image": Image(), "label": Value("string")}))
    )
    with pytest.raises(LabelError, match="does not say which classes"):
        stream_samples(tmp_path)
    stream = stream_samples(tmp_path, label_map="none")
    assert seen(stream) == seen(load_samples(tmp_path, label_map="none"))
    assert stream.classes == ()


def test_relabelled_as_a_listing(files):
    moves = {DOG: None, CAT: OAK}
    assert seen(stream_samples(files).relabelled(moves)) == seen(load_samples(files).relabelled(moves))


@pytest.mark.parametrize("workers", [0, 3])
def test_broken_rows_are_skipped_and_too_many_stop(tmp_path, workers):
    data = table(range(120), [0] * 120).to_dict()
    for row in (3, 50, 70, 80):
        data["image"][row]["bytes"] = png(9)[:40]
    Dataset.from_dict(data, features=FEATURES).to_parquet(tmp_path / "a.parquet")
    stream = stream_samples(tmp_path)
    rows = dict(stream.rows(0, 79, workers=workers))
    assert [row for row, sample in rows.items() if sample is None] == [3, 50, 70]
    assert [reason.split(" of")[0] for reason in stream.skipped] == ["row 3", "row 50", "row 70"]
    with pytest.raises(InputError, match="4 of 100 images"):
        list(stream.rows(79, workers=workers))


def test_classes_must_be_announced(tmp_path):
    features = Features({"image": Image(), "label": Value("string")})
    (tmp_path / "a.parquet").write_bytes(parquet([1, 2, 3], ["cat", "oak", None], features))
    with pytest.raises(LabelError, match="does not say which classes"):
        stream_samples(tmp_path)
    stream = stream_samples(tmp_path, label_map={"cat": CAT, "oak": OAK, "dog": DOG})
    assert stream.classes == (DOG, CAT, OAK)
    assert [sample.wnid for sample in stream] == [CAT, OAK, None]
    with pytest.raises(LabelError, match=r"row 1 of .* class 'oak'"):
        list(stream_samples(tmp_path, label_map={"cat": CAT}))


def test_a_source_that_breaks_off_says_where(files):
    last = sorted(files.glob("*.parquet"))[1]
    data = bytearray(last.read_bytes())
    data[4:200] = bytes(196)
    last.write_bytes(data)
    with pytest.raises(InputError, match=r"(?s)broke off after 10 rows: .*goes on where it stopped"):
        list(stream_samples(files))


def test_a_connection_that_is_lost_says_where(files):
    def lost():
        yield from itertools.islice(source.dataset, 3)
        raise HTTPError("the server closed the connection")  # the class of every error of the Hub's client on the way

    source = stream_samples(files)._source
    with pytest.raises(InputError, match=r"broke off after 3 rows: the server closed the connection.*goes on"):
        list(dataclasses.replace(source, dataset=lost()).open())


@pytest.mark.parametrize("source", ["starter", "."])
def test_what_needs_no_stream_is_refused(source):
    with pytest.raises(InputError, match="load_samples"):
        stream_samples(source)


def test_tars_stream_with_their_keys(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, data in {"a/1.png": png(1), "a/1.cls": b"0", "a/2.png": png(2), "a/2.cls": b"999"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    stream = stream_samples(tmp_path, label_map="imagenet-1k")
    assert len(stream.classes) == 1000
    assert seen(stream) == [(1, 0, "n01440764", "a/1"), (2, 999, "n15075141", "a/2")]
    assert seen(stream) == [
        (s, stream.classes.index(w), w, k) for s, _, w, k in seen(load_samples(tmp_path, label_map="imagenet-1k"))
    ]


def test_a_hub_data_set_is_read_no_further_than_the_limit(datasets_hub):
    content = {f"data/train-0000{n}-of-00003.parquet": parquet(range(10 * n, 10 * n + 10), [1] * 10) for n in range(3)}
    sha = datasets_hub.publish("org/pets", content, kind="datasets")
    stream = stream_samples("org/pets", limit=12)
    assert [shade(sample) for sample in stream] == list(range(12))
    fetched = {path for path in datasets_hub.asked("GET", ".parquet") if "/resolve/" in path}
    assert not any("train-00002" in path for path in fetched)
    assert any("train-00001" in path for path in fetched)
    assert stream.fingerprint == stream_samples("org/pets", limit=12).fingerprint
    again = datasets_hub.publish(
        "org/pets", content | {"data/train-00000-of-00003.parquet": parquet([5], [0])}, "datasets"
    )
    assert again != sha
    assert stream_samples("org/pets", limit=12).fingerprint != stream.fingerprint
    with pytest.raises(InputError, match="org/pets cannot be loaded"):
        stream_samples("org/pets", split="test")


def test_tiny_imagenet(shared):
    stream = stream_samples(shared / "data" / "tiny-imagenet", limit=40)
    listing = load_samples(shared / "data" / "tiny-imagenet", limit=40)
    assert stream.classes == listing.classes
    assert [(s.label, s.image.tobytes()) for s in stream] == [(s.label, s.image.tobytes()) for s in listing]

"""WebDataset tars: files of one name are a row, found once and read in any order."""

from __future__ import annotations

import io
import json
import pickle
import tarfile

import pytest

from hsae.data.samples import load_samples
from hsae.errors import ImageError, InputError, LabelError
from tests.data.conftest import CAT, DOG, OAK, png

NAMES = {"cat": CAT, "dog": DOG, "oak": OAK}


def write(path, content, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def tars(tmp_path):
    """Rows by shade 0..4 over two tars, with every way to write a label."""
    first = {"a/0.png": png(0), "a/0.cls": b"cat\n", "b/0.PNG": png(1), "b/0.json": b'{"label": "dog", "w": 1}'}
    second = {
        "2.png": png(2),
        "2.txt": b"oak",
        "3.cls": CAT.encode(),
        "3.jpg": png(3),
        "4.png": png(4),
        "4.mask.png": png(99),
    }
    write(tmp_path / "train-000000.tar", first)
    write(tmp_path / "train-000001.tar", second | {"4.json": json.dumps({"cls": None}).encode(), "README.md": b"x"})
    write(tmp_path / "val-000000.tar", {"9.png": png(9)})
    return tmp_path


def shade(sample):
    return sample.image.getpixel((0, 0))[0]


def test_rows_labels_and_keys(tars):
    samples = load_samples(tars, label_map=NAMES)
    assert samples.classes == (DOG, CAT, OAK)
    rows = [(s.key, shade(s), s.wnid) for s in samples]
    expected = [("a/0", 0, CAT), ("b/0", 1, DOG), ("2", 2, OAK), ("3", 3, CAT), ("4", 4, None)]
    assert rows == expected
    assert [shade(samples.read(row)) for row in (3, 0, 4)] == [3, 0, 4]
    assert shade(pickle.loads(pickle.dumps(samples)).read(2)) == 2


def test_ways_to_name_tars(tars):
    assert [shade(s) for s in load_samples(tars, split="val")] == [9]
    assert [shade(s) for s in load_samples(tars / "val-000000.tar")] == [9]
    assert len(load_samples(f"{tars}/train-*.tar", label_map=NAMES)) == 5
    (tars / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="2 kinds of files"):
        load_samples([tars / "a.parquet", tars / "val-000000.tar"])


def test_a_text_that_is_no_class_is_named(tars):
    with pytest.raises(LabelError, match=r"1 unknown class.*'oak'"):
        load_samples(tars)
    assert set(load_samples(tars, label_map="none").labels) == {None}


def test_class_numbers_of_imagenet(tmp_path):
    write(tmp_path / "a.tar", {"1.jpg": png(1), "1.cls": b"0", "2.jpg": png(2), "2.cls": b"999"})
    assert [s.wnid for s in load_samples(tmp_path, label_map="imagenet-1k")] == ["n01440764", "n15075141"]


def test_rows_without_an_image_or_with_a_broken_one_are_broken(tmp_path):
    content = {"1.jpg": png(1), "1.cls": b"cat", "2.cls": b"cat", "3.jpg": png(3)[:40], "3.cls": b"cat"}
    samples = load_samples(write(tmp_path / "a.tar", content), label_map=NAMES)
    assert [row for row, sample in samples.rows() if sample is None] == [1, 2]
    with pytest.raises(ImageError, match=r"2 of .* has no image"):
        samples.read(1)


@pytest.mark.parametrize("content", [b"no tar at all" * 99, b""])
def test_a_broken_or_empty_tar_is_an_input_error(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        load_samples(tmp_path)


def test_a_tar_cut_short_is_an_input_error(tars):
    whole = (tars / "val-000000.tar").read_bytes()
    (tars / "val-000000.tar").write_bytes(whole[:700])
    with pytest.raises(InputError, match="cannot be read"):
        load_samples(tars, split="val")


def test_a_compressed_tar_and_one_without_images_are_refused(tmp_path):
    write(tmp_path / "a.tar", {"1.jpg": png(1)}, "w:gz")
    with pytest.raises(InputError, match="uncompressed tar"):
        load_samples(tmp_path)
    write(tmp_path / "a.tar", {"1.cls": b"1", "notes.md": b"x"})
    with pytest.raises(InputError, match="holds no images"):
        load_samples(tmp_path)

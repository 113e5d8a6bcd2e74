"""Kept squares are the decoded ones, to the pixel; each is decoded once, whatever happens in between."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from hsae.backbones.base import Preprocessing
from hsae.data import samples as samples_module
from hsae.data.kept import KeptSquares
from hsae.data.samples import load_samples
from hsae.errors import InputError

SEEN = Preprocessing(image_size=32)


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Keys of the rows that were really decoded."""
    found: list[str] = []
    real = samples_module.decode_sample

    def counted(encoded, source, key, *more):
        found.append(key)
        return real(encoded, source, key, *more)

    monkeypatch.setattr(samples_module, "decode_sample", counted)
    return found


def pixels(samples) -> list[np.ndarray]:
    return [np.asarray(SEEN.crop(sample.image)) for sample in samples]


def test_the_second_pass_decodes_nothing_and_sees_the_same(tmp_path, decoded):
    plain = load_samples("starter").take(6)
    kept = plain.kept(tmp_path, 32, SEEN.crop)
    expected = pixels(plain)
    assert [key for key in decoded] == [plain.key(row) for row in range(6)]
    first = pixels(kept)
    decoded.clear()
    second = pixels(plain.kept(tmp_path, 32, SEEN.crop))
    assert decoded == []
    for one, other, again in zip(expected, first, second, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, again)
    assert kept.fingerprint == plain.fingerprint
    assert [sample.wnid for sample in kept] == [sample.wnid for sample in plain]


def test_other_labels_decode_nothing_again_and_another_source_does(tmp_path, decoded, folder):
    labelled = load_samples(folder)
    pixels(labelled.kept(tmp_path / "kept", 32, SEEN.crop))
    decoded.clear()
    mended = labelled.relabelled(dict.fromkeys(labelled.classes, "n00001740"))
    pixels(mended.kept(tmp_path / "kept", 32, SEEN.crop))
    assert decoded == []
    copy = shutil.copytree(folder, tmp_path / "copy", ignore=lambda *_: ["kept", "copy"])
    pixels(load_samples(copy).kept(tmp_path / "kept", 32, SEEN.crop))
    assert len(decoded) == len(labelled), "the same names may be other images"


def test_copies_and_other_sizes_and_other_rows_are_kept_apart(tmp_path, decoded):
    plain = load_samples("starter").take(3)
    for samples, side in ((plain, 32), (plain, 16), (plain.augmented(2), 32), (plain.subset([1, 0, 2]), 32)):
        seen = Preprocessing(image_size=side)
        kept = list(samples.kept(tmp_path, side, seen.crop))
        for sample, row in zip(kept, range(len(samples)), strict=True):
            np.testing.assert_array_equal(np.asarray(sample.image), np.asarray(seen.crop(samples.read(row).image)))
    assert len(list(tmp_path.glob("*.pixels"))) == 4


def test_a_square_whose_writing_was_broken_off_is_decoded_again(tmp_path, decoded, monkeypatch):
    plain = load_samples("starter").take(2)
    with monkeypatch.context() as patch:
        patch.setattr(KeptSquares, "put", lambda self, row, square: self._pixels.__setitem__(row, 7))
        list(plain.kept(tmp_path, 32, SEEN.crop))
    decoded.clear()
    again = pixels(plain.kept(tmp_path, 32, SEEN.crop))
    assert len(decoded) == 2
    np.testing.assert_array_equal(again[0], np.asarray(SEEN.crop(plain.read(0).image)))


def test_a_broken_image_is_broken_every_time(tmp_path):
    folder = tmp_path / "images" / "n02084071"
    folder.mkdir(parents=True)
    Image.new("RGB", (20, 20), "red").save(folder / "a.png")
    (folder / "b.png").write_bytes(b"no image")
    samples = load_samples(tmp_path / "images").kept(tmp_path / "kept", 32, SEEN.crop)
    for _ in range(2):
        assert [sample is None for _, sample in samples.rows()] == [False, True]


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be kept"):
        load_samples("starter").take(1).kept(tmp_path / "file", 32, SEEN.crop)

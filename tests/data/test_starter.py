"""The starter: keys, labels and exact masks from its table."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from hsae.backbones.base import Preprocessing
from hsae.data.sample import decode_sample
from hsae.data.samples import Samples, load_samples
from hsae.data.starter import TABLES, list_starter, list_tables, starter_names
from hsae.errors import InputError
from tests.data.conftest import CAT, OAK


@pytest.fixture
def table(tmp_path):
    """An oak whose left half is cut out, and a cat that fills its image."""
    stream = BytesIO()
    pixels = np.full((12, 16, 4), 50, dtype=np.uint8)
    pixels[:, :8, 3], pixels[:, 8:, 3] = 255, 0
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "oak.webp").write_bytes(stream.getvalue())
    Image.new("RGBA", (16, 12), (9, 9, 9, 255)).save(tmp_path / "images" / "cat.png")
    rows = f"plants/oak,images/oak.webp,{OAK},oak,a\nanimals/cat,images/cat.png,{CAT},cat,b\n"
    (tmp_path / "images.csv").write_text("key,file,wnid,name,source\n" + rows)
    return tmp_path / "images.csv"


def test_cut_outs_have_masks_and_stand_in_the_middle_of_a_white_square(table):
    oak, cat = Samples(list_tables([table], "here"))
    assert (oak.key, oak.wnid, oak.label) == ("plants/oak", OAK, 1)
    assert oak.image.size == (16, 16)
    rows, columns = np.mgrid[:16, :16]
    np.testing.assert_array_equal(oak.mask, (rows >= 2) & (rows < 14) & (columns < 8))
    assert (np.asarray(oak.image)[oak.mask] == 50).all()
    assert (np.asarray(oak.image)[~oak.mask] == 255).all()
    assert cat.image.size == (16, 12), "opaque everywhere: a photograph, no cut-out"
    assert cat.mask.all()


@pytest.mark.parametrize("size", [(10, 31), (31, 10), (20, 20)])
def test_a_centre_crop_keeps_all_of_a_cut_out(tmp_path, size):
    """Its outermost pixels, on all four sides, are still there in the square that a backbone sees."""
    pixels = np.zeros((size[1], size[0], 4), dtype=np.uint8)
    pixels[[0, -1], :, 3] = pixels[:, [0, -1], 3] = 255
    Image.fromarray(pixels).save(tmp_path / "frame.png")
    sample = decode_sample(tmp_path / "frame.png", "here", "frame", None, ())
    crop = np.asarray(Preprocessing(image_size=max(size)).crop(sample.image))[..., 0]
    assert (crop == 0).sum() == 2 * sum(size) - 4 == sample.mask.sum()
    assert sample.mask.shape == (max(size), max(size))


def test_stores_of_the_cut_outs_as_they_were_before_are_told(table):
    listing = list_tables([table], "here")
    assert Samples(listing).fingerprint != Samples(replace(listing, form="")).fingerprint


def test_a_missing_table_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="starter"):
        list_tables([tmp_path / "images.csv"], "starter")


def test_the_starter_takes_no_split():
    with pytest.raises(InputError, match="split"):
        load_samples("starter", split="train")


def test_the_starter_has_both_parts_and_each_is_a_source_of_its_own():
    """Labels of a part are places in the classes of that part, and mean the same synsets as in the whole."""
    whole, parts = load_samples("starter"), [load_samples(name) for name in TABLES]
    wnids = [[samples.classes[label] for label in samples.labels] for samples in (whole, *parts)]
    keys = [[samples.key(row) for row in range(len(samples))] for samples in (whole, *parts)]
    assert wnids[0] == wnids[1] + wnids[2]
    assert keys[0] == keys[1] + keys[2] == list(starter_names())
    assert [part.name for part in parts] == list(TABLES)
    assert list_starter("starter:photos").classes != list_starter().classes


def test_a_part_that_there_is_not_is_an_input_error():
    with pytest.raises(InputError, match="starter:paintings"):
        load_samples("starter:paintings")


def test_natural_photographs_fill_their_picture():
    assert all(sample.mask is None for sample in load_samples("starter:photos", limit=8))


def test_every_cut_out_is_labelled_and_has_a_mask():
    samples = load_samples("starter:cutouts")
    keys = set()
    for sample in samples:
        assert sample.mask is not None, sample.key
        assert sample.mask.any(), sample.key
        assert sample.image.width == sample.image.height, sample.key
        keys.add(sample.key)
    assert len(keys) == len(samples)
    assert not samples.skipped

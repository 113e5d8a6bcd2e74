"""The floors say exactly what pixels and colours say, and behave as any other backbone."""

import pytest
import torch

from hsae.activations.extract import extract_activations
from hsae.backbones.floors import ColourHistogram, SmallPicture
from hsae.backbones.registry import load_backbone
from hsae.data.samples import load_samples
from hsae.errors import InputError


def test_a_small_picture_is_the_mean_of_each_part():
    pixels = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 3, 4, 4) / 16
    expected = torch.tensor([2.5, 4.5, 10.5, 12.5]) / 16
    assert torch.equal(SmallPicture(2)(pixels), expected.repeat(3)[None, None])


def test_a_histogram_counts_cubes_of_colour():
    black, white, red = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.9, 0.1, 0.1)
    pixels = torch.tensor([black, white, white, red]).T.reshape(1, 3, 2, 2)
    found = ColourHistogram(2)(pixels)[0, 0]
    assert found.tolist() == [0.25, 0, 0, 0, 0.25, 0, 0, 0.5]
    shuffled = pixels.flatten(2)[..., [2, 0, 3, 1]].view_as(pixels)
    assert torch.equal(ColourHistogram(2)(shuffled)[0, 0], found)  # where a colour stands does not matter


@pytest.mark.parametrize(
    ("name", "layer", "width"), [("raw-pixels", "pixels", 768), ("colour-histogram", "colours", 216)]
)
def test_they_are_extracted_as_any_backbone(tmp_path, name, layer, width):
    backbone = load_backbone(name, image_size=32)
    store = extract_activations(
        backbone, load_samples("starter").take(3), tmp_path / "store", token="mean", progress=False
    )
    assert store.layer(layer).shape == (3, 1, width)
    assert 0 <= store.layer(layer).min() < store.layer(layer).max() <= 1
    with pytest.raises(InputError, match="no class token"):
        backbone.select_token(torch.zeros(1, 1, width), layer, "cls")


def test_each_has_a_fingerprint_of_its_own():
    assert load_backbone("raw-pixels").fingerprint != load_backbone("colour-histogram").fingerprint

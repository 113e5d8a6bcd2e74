"""Pixels are those of transformers' own image processor where the two do the same thing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hsae.backbones.base import Preprocessing
from hsae.errors import InputError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.randint(0, 256, (height, width, 3), dtype=np.uint8))


def of_transformers(image: Image.Image, size: int) -> torch.Tensor:
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil

    processor = BitImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}, image_mean=MEAN, image_std=STD
    )
    return processor(image, return_tensors="pt")["pixel_values"]


@pytest.mark.parametrize(("width", "height"), [(90, 90), (300, 300), (224, 224), (448, 224), (450, 300), (300, 450)])
def test_pixels_equal_the_processor_of_transformers(width, height):
    image = noise(width, height)
    ours = Preprocessing(224, MEAN, STD)([image])
    assert (ours - of_transformers(image, 224)).abs().max() < 1e-5
    nearest = image.resize((224, 224), Image.Resampling.NEAREST)
    if (width, height) != (224, 224):
        assert (ours - of_transformers(nearest, 224)).abs().max() > 0.1


def test_the_centre_of_a_long_image_is_seen():
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (80, 0, 220, 100))
    assert Preprocessing(10).crop(image).getcolors() == [(100, (0, 0, 255))]
    assert len(Preprocessing(10).crop(image.rotate(90, expand=True)).getcolors()) == 1
    assert Preprocessing(10).crop(image.crop((70, 0, 300, 100))).getcolors() != [(100, (0, 0, 255))]


@given(st.tuples(*[st.integers(0, 255)] * 3), st.integers(8, 40), st.integers(8, 40))
def test_a_plain_colour_by_hand(colour, width, height):
    pixels = Preprocessing(8, MEAN, STD)([Image.new("RGB", (width, height), colour)])
    expected = [(value / 255 - mean) / std for value, mean, std in zip(colour, MEAN, STD, strict=True)]
    assert pixels.shape == (1, 3, 8, 8)
    assert pixels.dtype == torch.float32
    torch.testing.assert_close(pixels, torch.tensor(expected).view(1, 3, 1, 1).expand(1, 3, 8, 8))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_other_modes_become_rgb(mode):
    gray = Image.new("RGB", (20, 20), (255, 255, 255))
    torch.testing.assert_close(Preprocessing(8)([gray.convert(mode)]), Preprocessing(8)([gray]))


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([], "no images"),
        (Image.new("RGB", (9, 9)), "a list of images"),
        (["no-cat.jpg"], "no-cat.jpg cannot be opened"),
        ("cat.jpg", "a single image"),
        ([7], "7 as an image"),
        ([Image.new("RGB", (0, 9))], "0 x 9 pixels"),
    ],
)
def test_what_is_no_list_of_images_is_refused(images, said):
    with pytest.raises(InputError, match=said):
        Preprocessing(8)(images)

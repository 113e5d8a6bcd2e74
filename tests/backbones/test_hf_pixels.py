"""Pixels are scaled as the model's own image processor scales them, or the model is refused."""

import json
import logging
import math

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

from hsae.backbones.families import FAMILIES
from hsae.backbones.registry import load_backbone
from hsae.errors import BackboneError
from tests.backbones.tiny_families import CONVNETS, PREFIX, SIDE, tiny_family

OLD, NEW = "preprocessor_config.json", "processor_config.json"
PROCESSORS = {
    "clip": "CLIP", "convnext": "ConvNext", "deit": "DeiT", "dinov2": "Bit", "dinov2_with_registers": "Bit",
    "resnet": "ConvNext", "siglip": "Siglip", "vit": "ViT", "vit_mae": "ViT",
}  # fmt: skip
"""What transformers has for each family without torchvision; it has nothing for DINOv3."""
OWN = {"image_mean": [0.1, 0.4, 0.7], "image_std": [0.2, 0.3, 0.9]}


@pytest.fixture
def folder(tmp_path):
    tiny_family("dinov2").save_pretrained(tmp_path)
    return tmp_path


def say(folder, name=OLD, **settings):
    """Write an image processor's settings as one of the two files; None takes a setting out."""
    stated = {"image_processor_type": "BitImageProcessor"} | settings
    (folder / name).write_text(json.dumps({"image_processor": stated} if name == NEW else stated))


def square() -> Image.Image:
    return Image.fromarray(np.random.randint(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))


def ours(folder, image) -> torch.Tensor:
    return load_backbone(folder, image_size=SIDE).pixels([image])


def theirs(folder, image) -> torch.Tensor:
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return processor(image, do_resize=False, do_center_crop=False, return_tensors="pt")["pixel_values"]


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and (a - b).abs().max().item() < 1e-5 * b.abs().max().item()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("family", PROCESSORS)
def test_every_family_with_the_processor_that_transformers_saves(tmp_path, family, nested):
    import transformers

    tiny_family(family).save_pretrained(tmp_path)
    image = square()
    plain = ours(tmp_path, image)
    kind = getattr(transformers, f"{PROCESSORS[family]}ImageProcessorPil")
    kind(**OWN).save_pretrained(tmp_path)
    if nested:  # as processors of models with a text side save it
        stated = json.loads((tmp_path / OLD).read_text())
        (tmp_path / OLD).unlink()
        (tmp_path / NEW).write_text(json.dumps({"image_processor": stated, "processor_class": "CLIPProcessor"}))
    expected = theirs(tmp_path, image)
    assert same(ours(tmp_path, image), expected)
    assert not same(plain, expected)


def test_every_family_is_among_the_tested_ones():
    of_files = {family.split()[0] for family in (*PREFIX, *CONVNETS)}
    assert set(PROCESSORS) | {"dinov3_vit"} == of_files
    assert {name.removesuffix("_vision_model") for name in FAMILIES} == of_files
    assert "pil" not in IMAGE_PROCESSOR_MAPPING_NAMES["dinov3_vit"], "no longer an exception"


@pytest.mark.parametrize("kind", [{"image_processor_type": "DINOv3ViTImageProcessorFast"}, {}])
def test_dinov3_whose_processor_needs_torchvision(tmp_path, kind):
    tiny_family("dinov3_vit").save_pretrained(tmp_path)
    image = square()
    assumed = ours(tmp_path, image)
    (tmp_path / OLD).write_text(json.dumps(kind))
    assert torch.equal(ours(tmp_path, image), assumed)  # ImageNet's, as the class has it
    (tmp_path / OLD).write_text(json.dumps(kind | OWN))
    preprocessing = load_backbone(tmp_path).preprocessing
    assert (preprocessing.mean, preprocessing.std) == (tuple(OWN["image_mean"]), tuple(OWN["image_std"]))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_normalize": False},
        {"do_normalize": None},
        {"do_rescale": False},
        {"do_rescale": None},
        {"do_rescale": False, "do_normalize": False},
        {"do_normalize": False, "image_mean": None, "image_std": None},
        {"rescale_factor": 1 / 127.5},
        {"rescale_factor": 1},
        {"image_mean": 0.25},
        {"image_mean": 0.25, "image_std": 2},
        {"image_mean": [120, 115, 100], "image_std": [60, 60, 60], "do_rescale": False},
        {"do_resize": False, "do_center_crop": False, "size": {"height": 9, "width": 9}},
    ],
)
@pytest.mark.parametrize("name", [OLD, NEW])
def test_every_setting_is_kept(folder, settings, name):
    image = square()
    say(folder, name, **settings)
    expected = theirs(folder, image)
    assert same(ours(folder, image), expected)
    say(folder, name, **(OWN | {"rescale_factor": 1 / 100}))
    assert not same(ours(folder, image), expected)


def test_the_newer_file_goes_before_the_older_as_in_transformers(folder):
    image = square()
    say(folder, OLD, image_mean=[0.9, 0.9, 0.9])
    say(folder, NEW, **OWN)
    assert same(ours(folder, image), theirs(folder, image))
    assert load_backbone(folder).preprocessing.mean == tuple(OWN["image_mean"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image_mean": None}, "image_mean = None"),
        ({"image_std": None}, "image_std = None"),
        ({"image_mean": [0.5, 0.5]}, r"image_mean = \(0.5, 0.5\)"),
        ({"image_mean": "half"}, "image_mean = 'half'"),
        ({"image_mean": [0.5, True, 0.5]}, "image_mean = True"),
        ({"image_mean": {"red": 1}}, "image_mean = {'red': 1}"),
        ({"image_std": [0.5, math.nan, 0.5]}, "image_std = nan"),
        ({"image_std": [0.5, 0, 0.5]}, "divides by"),
        ({"image_std": -1}, "divides by"),
        ({"rescale_factor": None}, "rescale_factor = None"),
        ({"rescale_factor": 0}, "scales by 0"),
        ({"rescale_factor": "1/255"}, "rescale_factor = '1/255'"),
        ({"image_processor_type": "MobileViTImageProcessor", "do_flip_channel_order": True}, "in other ways"),
        ({"image_processor_type": "EfficientNetImageProcessor", "rescale_offset": True}, "in other ways"),
        ({"image_processor_type": 5}, "could not be loaded"),
        ({"image_processor_type": "TextNetImageProcessor", "size_divisor": 0, "size": []}, "could not be loaded"),
    ],
)
def test_what_cannot_be_kept_is_refused(folder, settings, said):
    say(folder)
    load_backbone(folder)
    say(folder, **settings)
    with pytest.raises(BackboneError, match=said):
        load_backbone(folder)


@pytest.mark.parametrize(
    ("name", "text"), [(OLD, "[1]"), (OLD, '"text"'), (OLD, "7"), (OLD, "[" * 9999), (NEW, "7"), (NEW, "[" * 9999)]
)
def test_files_that_hold_no_settings(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(BackboneError):
        load_backbone(folder)


def test_without_a_processor_what_is_assumed_is_said(folder, caplog):
    with caplog.at_level(logging.WARNING, "hsae"):
        assert load_backbone(folder).preprocessing.mean == (0.485, 0.456, 0.406)
    assert len(caplog.messages) == 1
    assert str(folder) in caplog.text
    assert "(0.485, 0.456, 0.406)" in caplog.text
    caplog.clear()
    say(folder)
    with caplog.at_level(logging.WARNING, "hsae"):
        load_backbone(folder)
    assert not caplog.messages


def test_code_that_comes_with_a_processor_is_never_run(folder, tmp_path):
    trap = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(trap)!r}, 'w')\nclass C: pass\n")
    (folder / OLD).write_text(json.dumps({"auto_map": {"AutoImageProcessor": "evil.C"}} | OWN))
    assert load_backbone(folder).preprocessing.mean == tuple(OWN["image_mean"])
    assert not trap.exists()

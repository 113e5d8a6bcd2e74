"""Every family of transformers models is read, continued and edited as transformers' own forward pass computes it."""

import copy

import pytest
import torch
from torch import nn

from hsae.backbones.base import Backbone, Preprocessing
from hsae.backbones.families import FAMILIES
from hsae.backbones.hf import HFBackbone, HFConvNet
from hsae.backbones.hooks import capture_attention
from hsae.errors import BackboneError, InputError
from tests.backbones.tiny_families import BLOCKS, CONVNETS, PATCH, PREFIX, SIDE, STAGES, WIDTH, tiny_family, tiny_pixels

ALL = [*PREFIX, *CONVNETS]


def backbone_of(model: nn.Module) -> Backbone:
    kind = HFConvNet if model.config.model_type in {"convnext", "resnet"} else HFBackbone
    return kind("tiny", model, Preprocessing(image_size=64 if kind is HFConvNet else SIDE))


def hooked(model: nn.Module, family: str, pixels: torch.Tensor) -> list[torch.Tensor]:
    """What comes out of the blocks or stages while transformers' own forward pass runs."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    parts = list(next(parts for parts in lists if len(parts) == 3))
    parts = [model.embedder if "resnet" in family else model.embeddings, *parts] if family in CONVNETS else parts
    seen: dict[int, torch.Tensor] = {}
    for number, part in enumerate(parts):
        part.register_forward_hook(lambda *args, number=number: seen.update({number: args[-1]}))
    options = {"noise": torch.arange((pixels.shape[-1] // PATCH) ** 2.0).expand(2, -1)} if family == "vit_mae" else {}
    if family.split()[0] in {"clip", "deit", "siglip", "vit", "vit_mae"}:
        options["interpolate_pos_encoding"] = True
    with torch.no_grad():
        model(pixels, **options)
    return [seen[number] for number in range(len(parts))]


@pytest.mark.parametrize("size", [SIDE, SIDE + 3, 71])
@pytest.mark.parametrize("family", ALL)
def test_every_layer_equals_what_transformers_computes(family, size):
    model, pixels = tiny_family(family), tiny_pixels(size)
    backbone = backbone_of(copy.deepcopy(model))
    theirs = hooked(model, family, pixels)
    ours = backbone.run_pixels(pixels)
    assert list(ours) == (STAGES if family in CONVNETS else BLOCKS)
    for number, (x, other) in enumerate(zip(ours.values(), theirs, strict=True)):
        assert (backbone.tokens(other) - x).abs().max() <= 1e-5 * max(1, float(other.abs().max())), number
    assert all(not torch.equal(a, b) for a, b in zip(list(ours.values())[1:], theirs[:-1], strict=True))


@pytest.mark.parametrize("family", PREFIX)
def test_blocks_widths_prefix_and_grid(family):
    backbone = backbone_of(tiny_family(family))
    specs = [(spec.name, spec.d_in, spec.n_prefix) for spec in backbone.layers.values()]
    assert specs == [(name, WIDTH, PREFIX[family]) for name in BLOCKS]
    for size in (SIDE, SIDE + 3, 71, PATCH):
        rows, columns = backbone.grid("block_02", size, size)
        assert rows == columns == size // PATCH
        assert backbone.run_pixels(tiny_pixels(size))["block_02"].shape == (2, PREFIX[family] + rows * columns, WIDTH)


@pytest.mark.parametrize("family", CONVNETS)
def test_stages_widths_and_grids(family):
    backbone = backbone_of(tiny_family(family))
    specs = [(spec.name, spec.d_in, spec.n_prefix) for spec in backbone.layers.values()]
    assert specs == [(name, d_in, 0) for name, d_in in zip(STAGES, CONVNETS[family], strict=True)]
    assert [backbone.grid(name, 64, 128) for name in STAGES] == [(16, 32), (16, 32), (8, 16), (4, 8)]
    for size in (16, 33, 63, 65, 97):
        for name, x in backbone.run_pixels(tiny_pixels(size)).items():
            rows, columns = backbone.grid(name, size, size)
            assert x.shape == (2, rows * columns, backbone.layers[name].d_in)


def test_a_resnet_may_shrink_in_its_first_stage():
    backbone = backbone_of(tiny_family("resnet", downsample_in_first_stage=True))
    assert [backbone.grid(name, 65, 65)[0] for name in STAGES] == [17, 9, 5, 3]
    assert backbone.run_pixels(tiny_pixels(65))["stage_3"].shape == (2, 9, 32)


@pytest.mark.parametrize("family", ALL)
def test_run_from_goes_on_to_the_same_and_an_edit_changes_only_what_comes_later(family):
    backbone, pixels = backbone_of(tiny_family(family)), tiny_pixels()
    whole, names = backbone.run_pixels(pixels), list(backbone.layers)
    for number, start in enumerate(names[:-1]):
        later = names[number + 1 :]
        rest = backbone.run_from(start, whole[start], later)
        edited = backbone.run_from(start, whole[start] + torch.randn_like(whole[start]), later)
        assert list(rest) == list(edited) == later
        for name in later:
            assert (rest[name] - whole[name]).abs().max() <= 1e-5 * max(1, float(whole[name].abs().max()))
            assert not torch.allclose(edited[name], whole[name], atol=1e-3)


@pytest.mark.parametrize("family", PREFIX)
def test_attention_of_every_family_can_be_captured(family):
    model, pixels = tiny_family(family), tiny_pixels()
    backbone = backbone_of(copy.deepcopy(model))
    model.set_attn_implementation("eager")
    options = {"noise": torch.arange(16.0).expand(2, 16)} if family == "vit_mae" else {}
    with torch.no_grad():
        theirs = model(pixels, output_attentions=True, **options).attentions
    with capture_attention() as maps:
        captured = backbone.run_pixels(pixels)
    n_tokens = PREFIX[family] + 16
    assert [tuple(attention.shape) for attention in maps] == [(2, 4, n_tokens, n_tokens)] * 3
    assert all((ours - other).abs().max() < 1e-5 for ours, other in zip(maps, theirs, strict=True))
    assert maps[0].std() > 0.01
    torch.testing.assert_close(captured["block_03"], backbone.run_pixels(pixels)["block_03"], atol=1e-4, rtol=1e-4)


def last_matrix(backbone: Backbone, layer: int) -> nn.Linear:
    """The linear map from hidden neurons to the tokens in the last MLP before the layer's output."""
    parts = list(backbone.stages().values())[layer]
    part = parts if isinstance(parts, nn.Module) else parts.args[0]
    return [module for module in part.modules() if isinstance(module, nn.Linear)][-1]


@pytest.mark.parametrize("family", [*PREFIX, "convnext"])
def test_mlp_output_is_what_a_raised_neuron_adds(family):
    backbone, pixels = backbone_of(tiny_family(family)), tiny_pixels()
    names = list(backbone.layers)
    rows, last = backbone.mlp_output(names[-1]), last_matrix(backbone, len(names) - 1)
    assert rows.shape == (last.in_features, backbone.layers[names[-1]].d_in)
    before = backbone.run_pixels(pixels, names[-1:])[names[-1]]
    raised = torch.zeros(last.in_features).scatter(0, torch.tensor(5), 2.0)
    with last.register_forward_pre_hook(lambda _, inputs: (inputs[0] + raised,)):
        after = backbone.run_pixels(pixels, names[-1:])[names[-1]]
    torch.testing.assert_close(after - before, (2 * rows[5]).expand_as(before), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(after - before, (2 * rows[6]).expand_as(before), atol=1e-2)


def test_where_there_is_no_mlp():
    assert backbone_of(tiny_family("resnet")).mlp_output("stem") is None
    assert backbone_of(tiny_family("convnext")).mlp_output("stem") is None


@pytest.mark.parametrize("family", ["dinov3_vit", *CONVNETS])
def test_where_the_shape_cannot_be_told_from_the_tokens_images_are_square(family):
    with pytest.raises(InputError, match="56 x 84 pixels"):
        backbone_of(tiny_family(family)).run_pixels(torch.zeros(1, 3, 56, 84))


def test_masking_is_off_and_everything_else_does_not_depend_on_chance():
    backbone = backbone_of(tiny_family("vit_mae"))
    backbone.model.config.mask_ratio = 0.75
    first, second = (backbone.run_pixels(tiny_pixels())["block_03"] for _ in range(2))
    assert first.shape == (2, 17, WIDTH)
    assert torch.equal(first, second)


def test_every_row_is_tested():
    tested = {name.split()[0] for name in ALL}
    assert set(FAMILIES) == tested | {"clip_vision_model", "siglip_vision_model"}


@pytest.mark.parametrize("kind", [HFBackbone, HFConvNet])
def test_another_family_lists_the_known_ones(kind):
    from transformers import SwinConfig, SwinModel

    model = SwinModel(SwinConfig(image_size=32, embed_dim=8, depths=[1], num_heads=[1]))
    with pytest.raises(BackboneError, match=r"'swin'.*(convnext, resnet|clip, .*dinov3_vit, .*vit_mae)"):
        kind("a swin", model, Preprocessing())


@pytest.mark.parametrize(("family", "size"), [("clip", 13), ("convnext", 15)])
def test_an_image_smaller_than_a_patch_is_refused(family, size):
    model = tiny_family(family)
    kind = HFConvNet if family in CONVNETS else HFBackbone
    with pytest.raises(InputError, match=f"image_size {size}.*{size + 1} pixels"):
        kind("tiny", model, Preprocessing(image_size=size))

"""Raising a hidden neuron of a block's MLP moves the block's output along that neuron's row, and nothing else."""

import pytest
import torch
from torch import nn

from hsae.backbones.base import Preprocessing
from hsae.backbones.hf import HFBackbone
from hsae.errors import InputError
from tests.tiny_models import WIDTH, PlainBackbone, random_pixels, tiny_dinov2


def swiglu():
    from transformers import Dinov2Config, Dinov2Model

    shape = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 56, "patch_size": 14}
    return HFBackbone("swiglu", Dinov2Model(Dinov2Config(**shape, use_swiglu_ffn=True)), Preprocessing(image_size=56))


def last_matrix(backbone: HFBackbone, number: int) -> nn.Linear:
    linear = [m for m in backbone.model.encoder.layer[number].mlp.modules() if isinstance(m, nn.Linear)]
    (last,) = [m for m in linear if m.out_features == WIDTH]
    return last


@pytest.mark.parametrize("make", [tiny_dinov2, lambda: tiny_dinov2(registers=2), swiglu])
def test_rows_are_what_a_raised_neuron_adds(make):
    backbone, pixels = make(), random_pixels()
    with torch.no_grad():
        backbone.model.encoder.layer[1].layer_scale2.lambda1.uniform_(0.5, 2)
    rows = backbone.mlp_output("block_02")
    last = last_matrix(backbone, 1)
    assert rows.shape == (last.in_features, WIDTH)
    before = backbone.run_pixels(pixels, ["block_02"])["block_02"]
    raise_fifth = torch.zeros(last.in_features).scatter(0, torch.tensor(5), 2.0)
    with last.register_forward_pre_hook(lambda _, inputs: (inputs[0] + raise_fifth,)):
        after = backbone.run_pixels(pixels, ["block_02"])["block_02"]
    torch.testing.assert_close(after - before, (2 * rows[5]).expand_as(before), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(after - before, (2 * rows[6]).expand_as(before), atol=1e-2)


def test_unknown_layers_are_refused_and_other_backbones_have_no_mlp():
    with pytest.raises(InputError, match="block_99"):
        tiny_dinov2().mlp_output("block_99")
    assert PlainBackbone().mlp_output("stage_1") is None

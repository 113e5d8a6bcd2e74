"""Raising a hidden neuron of a block's MLP moves the block's output along that neuron's row; so do channels of CNNs."""

from functools import partial

import pytest
import torch
from torch import nn

from hsae.backbones.base import Preprocessing
from hsae.backbones.efficientnet import EfficientNetBackbone, EfficientNetLite
from hsae.backbones.hf import HFBackbone, HFConvNet
from hsae.errors import InputError
from hsae.measures.alignment import neuron_alignment
from tests.backbones.odd_models import randomised, tiny_clip_resnet
from tests.backbones.tiny_families import tiny_family
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


def resnet(family):
    backbone = HFConvNet(family, tiny_family(family), Preprocessing(image_size=56))
    last = backbone.stages()["stage_3"].layers[-1].layer[-1]
    return backbone, "stage_3", last.convolution, last.normalization


def clip_resnet():
    backbone = tiny_clip_resnet()
    last = backbone.model.layer2[-1]
    return backbone, "layer2", last.conv3, last.bn3


def efficientnet():
    model = randomised(EfficientNetLite())
    backbone = EfficientNetBackbone("tiny", model, Preprocessing(image_size=64))
    last = backbone.model.stages[3][-1].project
    return backbone, "stage_4", last.conv, last.norm


@pytest.mark.parametrize(
    "make", [partial(resnet, "resnet"), partial(resnet, "resnet basic"), clip_resnet, efficientnet]
)
def test_rows_of_a_cnn_are_what_a_raised_channel_adds_before_the_last_relu(make):
    backbone, layer, conv, norm = make()
    side = backbone.preprocessing.image_size
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    rows = backbone.mlp_output(layer)
    assert rows.shape == (conv.in_channels, backbone.layers[layer].d_in)
    written = []
    with norm.register_forward_hook(lambda _, inputs, output: written.append(output.clone())):
        backbone.run_pixels(pixels, [layer])
        raised = torch.zeros(conv.in_channels, 1, 1)
        raised[3] = 2.0
        with conv.register_forward_pre_hook(lambda _, inputs: (inputs[0] + raised,)):
            backbone.run_pixels(pixels, [layer])
    before, after = written
    middle = before.shape[-1] // 2  # a wide kernel reads nothing beyond the border
    torch.testing.assert_close((after - before)[0, :, middle, middle], 2 * rows[3], atol=1e-4, rtol=1e-3)
    assert not torch.allclose((after - before)[0, :, middle, middle], 2 * rows[4], atol=1e-3)
    found = neuron_alignment(torch.stack([rows[2], -rows[5]]), rows)
    assert found.neuron.tolist() == [2, 5]
    assert found.cosine == pytest.approx([1, -1])


def test_stems_and_pools_have_no_neurons():
    backbone = tiny_clip_resnet()
    assert backbone.mlp_output("stem") is backbone.mlp_output("attnpool") is None


def test_unknown_layers_are_refused_and_other_backbones_have_no_mlp():
    with pytest.raises(InputError, match="block_99"):
        tiny_dinov2().mlp_output("block_99")
    assert PlainBackbone().mlp_output("stage_1") is None

"""Small models with known weights: a random DINOv2, SAEs, and backbones whose answers can be worked out by hand."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, normalize

from hsae.backbones.base import Backbone, LayerSpec, Preprocessing
from hsae.backbones.hooks import recordable_attention
from hsae.sae.model import SparseAutoencoder

WIDTH, PATCH, SIDE = 32, 14, 56


def tiny_dinov2(seed: int = 0, registers: int = 0):
    """A random DINOv2 of 3 blocks, width 32, 4 x 4 patches of 14 pixels, with attention far from uniform."""
    from hsae.backbones.hf import HFBackbone

    return HFBackbone("tiny", tiny_model(seed, registers), Preprocessing(image_size=SIDE))


def tiny_model(seed: int = 0, registers: int = 0) -> nn.Module:
    """The transformers model inside `tiny_dinov2`."""
    from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    shape = {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 4, "mlp_ratio": 2}
    shape |= {"image_size": SIDE, "patch_size": PATCH, "initializer_range": 0.3}
    torch.manual_seed(seed)
    if registers:
        return Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**shape, num_register_tokens=registers)).eval()
    return Dinov2Model(Dinov2Config(**shape)).eval()


def random_sae(seed: int = 0, d_in: int = WIDTH, d_sae: int = 24, activation: str = "relu", k: int = 8, **options):
    """An SAE with random weights and unit decoder rows."""
    generator = torch.Generator().manual_seed(seed)
    sae = SparseAutoencoder(d_in, d_sae, activation, k, **options)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    sae.normalise_decoder()
    return sae


def random_pixels(seed: int = 0, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


class PlainBackbone(Backbone):
    """Tokens are the patches' mean colours, 4 x 4 of them, which one stage hands on; no class token, no attention."""

    id, revision, preprocessing = "plain", None, Preprocessing(image_size=SIDE)
    layers = {"stage_1": LayerSpec("stage_1", 3, 0)}  # noqa: RUF012

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1).requires_grad_(False)

    def embed(self, pixels):
        return avg_pool2d(pixels, PATCH)

    def stages(self):
        return {"stage_1": lambda state: state}

    def tokens(self, state):
        return state.flatten(2).transpose(1, 2)

    def state(self, tokens):
        return tokens.transpose(1, 2).unflatten(2, (4, 4))

    def grid(self, layer, height, width):
        return height // PATCH, width // PATCH


class ShrinkingBackbone(PlainBackbone):
    """Patch colours, 4 x 4, and a second stage that averages 2 x 2 of them: a CNN in small."""

    layers = {"stage_1": LayerSpec("stage_1", 3, 0), "stage_2": LayerSpec("stage_2", 3, 0)}  # noqa: RUF012

    def stages(self):
        return {"stage_1": lambda state: state, "stage_2": lambda state: avg_pool2d(state, 2)}

    def grid(self, layer, height, width):
        cell = PATCH if layer == "stage_1" else 2 * PATCH
        return height // cell, width // cell


class SegmentBackbone(PlainBackbone):
    """Tokens are the mean colours of three segments of the image, which lie across each other's rows and columns."""

    def embed(self, pixels):
        places = self.token_map("stage_1", pixels[:1])
        return torch.stack([pixels[:, :, places == segment].mean(2) for segment in range(3)], 1)

    def tokens(self, state):
        return state

    def state(self, tokens):
        return tokens

    def grid(self, layer, height, width):
        return 1, 3

    def token_map(self, layer, pixels):
        rows, columns = (torch.arange(n) for n in pixels.shape[-2:])
        return (rows[:, None] + columns) * 3 // (len(rows) + len(columns) - 1)


class UniformBackbone(PlainBackbone):
    """A class token of zeros before the patch colours, and one block that adds the mean of all 17 tokens to each."""

    id = "uniform"
    layers = {"block_01": LayerSpec("block_01", 3, 1)}  # noqa: RUF012

    def embed(self, pixels):
        patches = avg_pool2d(pixels, PATCH).flatten(2).transpose(1, 2)
        return torch.cat([torch.zeros_like(patches[:, :1]), patches], 1)

    def stages(self):
        return {"block_01": self._block}

    def _block(self, x):
        value = x[:, None]
        mixed, _ = recordable_attention(self.model, torch.zeros_like(value), value, value)
        return x + mixed[:, :, 0]

    def tokens(self, state):
        return state

    def state(self, tokens):
        return tokens


class MaskedBackbone(UniformBackbone):
    """A `UniformBackbone` whose mask token is black."""

    def embed_masked(self, pixels, removed):
        state = self.embed(pixels)
        state[:, 1:][removed] = 0
        return state


def colour_sae() -> SparseAutoencoder:
    """Latents are red, green and blue of a colour."""
    sae = SparseAutoencoder(3, 3, "relu")
    with torch.no_grad():
        sae.W_enc.copy_(torch.eye(3))
        sae.W_dec.copy_(torch.eye(3))
    return sae


def directions_sae(x: torch.Tensor) -> SparseAutoencoder:
    """One latent per row of activations `x [n, d_in]`: how far an activation lies from their mean towards that row."""
    sae = SparseAutoencoder(x.shape[1], len(x), "relu")
    rows = normalize(x - x.mean(0), dim=1)
    with torch.no_grad():
        sae.b_dec.copy_(x.mean(0))
        sae.W_enc.copy_(rows.T)
        sae.W_dec.copy_(rows)
    return sae

"""One forward pass of one image, recorded so that gradients of a target can be computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hsae.backbones.base import Backbone
from hsae.backbones.hooks import capture_attention
from hsae.relevancy.rules import attn_lrp, direct_write
from hsae.relevancy.targets import Target


@dataclass(frozen=True, eq=False)
class Trace:
    """One forward pass of one image, recorded up to a layer and differentiable from what the recording kept."""

    backbone: Backbone
    layer: str
    size: tuple[int, int]
    """Height and width of the image in pixels."""
    grid: tuple[int, int]
    """Rows and columns of patches at `layer`, or at the layer that it pools."""
    states: dict[str, Tensor]
    """The state before the first stage, under the name "embedding", and after each stage up to `layer`."""
    activations: dict[str, Tensor]
    """`[1, tokens, d_in]` for every layer up to `layer`."""
    attentions: tuple[Tensor, ...] = ()
    """`[1, heads, tokens, tokens]` per block, after the softmax; empty for backbones without attention."""
    values: tuple[Tensor, ...] = ()
    """`[1, heads, tokens, head_dim]` per block: the vectors that attention mixes; recorded instead of its maps."""

    @property
    def tokens(self) -> Tensor:
        """Activations at `layer`."""
        return self.activations[self.layer]

    @property
    def embedding(self) -> Tensor:
        """The state before the first stage: where the graph starts."""
        return self.states["embedding"]

    @property
    def before(self) -> Tensor:
        """The state that enters the last stage."""
        return list(self.states.values())[-2]

    @property
    def n_prefix(self) -> int:
        """Tokens before the patches."""
        return self.backbone.layers[self.layer].n_prefix

    @property
    def pools(self) -> bool:
        """Whether the layer is a pool of the one before, on whose patches maps are drawn."""
        return self.backbone.map_layer(self.layer) != self.layer

    @property
    def pool_attends(self) -> bool:
        """Whether the pool's own attention was recorded: over the mean of the map, and its places."""
        return self.pools and bool(self.values) and self.values[-1].shape[-2] == 1 + math.prod(self.grid)

    @property
    def attends(self) -> bool:
        """Whether every stage up to the layer is one block of attention between the layer's own tokens."""
        same = all(x.shape[1] == self.tokens.shape[1] for x in self.activations.values())
        return same and len(self.attentions or self.values) == len(self.activations)

    @property
    def attends_last(self) -> bool:
        """Whether the last recorded attention is between the layer's own tokens."""
        return bool(self.values) and self.values[-1].shape[-2] == self.tokens.shape[1]

    @property
    def one_block_per_stage(self) -> bool:
        """Whether every stage recorded one attention, or none did: then a part of the pass is a pass."""
        return len(self.attentions or self.values) in (0, len(self.activations))

    def up_to(self, layer: str) -> Trace:
        """The part of the pass that ends at an earlier layer, as a recording up to there would have kept it.

        Every stage is one block of attention, or none is (`one_block_per_stage`).
        """
        n = list(self.activations).index(layer) + 1
        return replace(
            self,
            layer=layer,
            grid=_grid(self.backbone, layer, self.size),
            states=dict(list(self.states.items())[: n + 1]),
            activations=dict(list(self.activations.items())[:n]),
            attentions=self.attentions[:n],
            values=self.values[:n],
        )

    def comparable(self, state: Tensor) -> bool:
        """Whether `at_layer` can bring scores of a recorded state to the patches: a map, or as many tokens."""
        return state.ndim > 3 or (state.shape[1] == self.tokens.shape[1] and not self.pools)

    def gradients(self, target: Target, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Gradients of the target with respect to recorded tensors; the pass can be used again."""
        return torch.autograd.grad(target(self.tokens).sum(), inputs, retain_graph=True)

    def at_layer(self, scores: Tensor, state: Tensor) -> Tensor:
        """Scores `[tokens]` of a recorded state on the layer's tokens: a CNN's early maps have larger grids."""
        if state.ndim < 4 or state.shape[-2:] == self.grid:
            return scores
        return interpolate(scores.view(1, 1, *state.shape[-2:]), size=self.grid, mode="area").flatten()


def record(backbone: Backbone, pixels: Tensor, layer: str) -> Trace:
    """Run `pixels [1, 3, height, width]` up to `layer` and no further, keeping the attention maps."""
    with capture_attention() as attentions:
        states = _run(backbone, _embed(backbone, pixels).requires_grad_(), layer)
    return _trace(backbone, pixels, layer, states, attentions=tuple(attentions))


def record_lrp(backbone: Backbone, pixels: Tensor, layer: str) -> Trace:
    """The same pass, whose backward pass propagates relevance by the rules of AttnLRP."""
    values: list[Tensor] = []
    with attn_lrp(values):
        states = _run(backbone, _embed(backbone, pixels).requires_grad_(), layer)
    return _trace(backbone, pixels, layer, states, values=tuple(values))


def record_direct(backbone: Backbone, pixels: Tensor, layer: str) -> Trace:
    """The same pass, differentiable only from the blocks' value vectors through their attention writes."""
    values: list[Tensor] = []
    with direct_write(values):
        states = _run(backbone, _embed(backbone, pixels), layer)
    return _trace(backbone, pixels, layer, states, values=tuple(values))


@torch.no_grad()
def _embed(backbone: Backbone, pixels: Tensor) -> Tensor:
    return backbone.embed(pixels).clone()


def _run(backbone: Backbone, embedding: Tensor, layer: str) -> dict[str, Tensor]:
    states = {"embedding": embedding}
    for name, stage in backbone.stages().items():
        states[name] = embedding = stage(embedding)
        if name == layer:
            break
    return states


def _trace(
    backbone: Backbone,
    pixels: Tensor,
    layer: str,
    states: dict[str, Tensor],
    attentions: tuple[Tensor, ...] = (),
    values: tuple[Tensor, ...] = (),
) -> Trace:
    activations = {name: backbone.tokens(state) for name, state in states.items() if name != "embedding"}
    height, width = pixels.shape[-2:]
    grid = _grid(backbone, layer, (height, width))
    return Trace(backbone, layer, (height, width), grid, states, activations, attentions, values)


def _grid(backbone: Backbone, layer: str, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the map that is drawn for a layer."""
    return backbone.grid(backbone.map_layer(layer), *size)

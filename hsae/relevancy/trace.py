"""One forward pass of one image, recorded so that every method can ask it for gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.backbones.hooks import capture_attention
from hsae.targets import Target


@dataclass(frozen=True, eq=False)
class Trace:
    """One forward pass of one image, recorded up to a layer and differentiable from the embedding on."""

    backbone: Backbone
    layer: str
    embedding: Tensor
    """The state before the first stage: where the graph starts."""
    activations: dict[str, Tensor]
    """`[1, tokens, d_in]` for every layer up to `layer`."""
    attentions: tuple[Tensor, ...]
    """`[1, heads, tokens, tokens]` per block, after the softmax; empty for backbones without attention."""

    @property
    def tokens(self) -> Tensor:
        """Activations at `layer`."""
        return self.activations[self.layer]

    def gradients(self, target: Target, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Gradients of the target with respect to recorded tensors; the pass can be used again."""
        return torch.autograd.grad(target(self.tokens).sum(), inputs, retain_graph=True)


def record(backbone: Backbone, pixels: Tensor, layer: str) -> Trace:
    """Run `pixels [1, 3, height, width]` up to `layer` and no further."""
    (layer,) = backbone.layer_names([layer])
    with torch.no_grad():
        embedding = backbone.embed(pixels).clone()
    state, activations = embedding.requires_grad_(), {}
    with capture_attention() as attentions:
        for name, stage in backbone.stages().items():
            state = stage(state)
            activations[name] = backbone.tokens(state)
            if name == layer:
                break
    return Trace(backbone, layer, embedding, activations, tuple(attentions))

"""Relevancy maps: which patches of an image a latent's value at a layer comes from.

Every method is one function of a recorded forward pass and a target, and one row of `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from hsae.backbones.base import Backbone
from hsae.backbones.hooks import capture_attention
from hsae.errors import InputError
from hsae.sae.model import SparseAutoencoder
from hsae.targets import LatentTarget, Place, Target


@dataclass(frozen=True, eq=False)
class RelevancyMap:
    """One number per patch, on the method's own scale: comparable inside a map, and across maps of one target."""

    values: np.ndarray
    """`[rows, cols]` float32, over the square that `Preprocessing.crop` shows; may be negative for signed methods."""
    method: str
    layer: str
    target_value: float
    """What the target reads for this image: for a latent its pre-activation, in units of the activations."""

    def upsampled(self, height: int, width: int) -> np.ndarray:
        """The values bilinearly enlarged to `[height, width]` float32, scale kept."""
        grid = torch.from_numpy(self.values)[None, None]
        return interpolate(grid, size=(height, width), mode="bilinear", align_corners=False)[0, 0].numpy()

    @property
    def limit(self) -> float:
        """The 99th percentile of |values| (when that is 0 the largest, when that is 0 one): the end of colour scales.

        A few artefact tokens of late blocks carry very large norms and would leave the rest of the map dark.
        """
        return float(np.percentile(np.abs(self.values), 99)) or float(np.abs(self.values).max()) or 1.0

    def displayed(self, height: int, width: int) -> np.ndarray:
        """For the eye only: divided by `limit`, clipped to [-1, 1] and enlarged; 0 stays 0."""
        clipped = np.clip(self.values / np.float32(self.limit), -1, 1)
        return RelevancyMap(clipped, self.method, self.layer, self.target_value).upsampled(height, width)


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


def gradient_rollout(trace: Trace, target: Target) -> Tensor:
    """Gradient x attention rollout: R <- R + mean_heads (A * dy/dA)^+ R over the blocks, read at the target's token.

    The row R[token] is carried from the layer down to the first block, which gives the same numbers without any
    tokens x tokens product; the identity R starts from is left out. Chefer et al., ICCV 2021 (arXiv 2103.15679).
    """
    gradients = trace.gradients(target, trace.attentions)
    with torch.no_grad():
        start = target.weights(trace.tokens).float()
        brought = torch.zeros_like(start)
        for attention, gradient in zip(reversed(trace.attentions), reversed(gradients), strict=True):
            weight = (attention * gradient).clamp_min_(0).mean(1).float()
            brought = brought + ((start + brought)[:, None] @ weight)[:, 0]
    return brought[0]


def attention_rollout(trace: Trace, target: Target) -> Tensor:
    """Product over the blocks of (mean_heads A + I) / 2, row of the target's token: the same for every latent.

    A control, not an explanation of a latent. Abnar and Zuidema, ACL 2020 (arXiv 2005.00928).
    """
    with torch.no_grad():
        row = target.weights(trace.tokens).float()
        for attention in reversed(trace.attentions):
            row = (row + (row[:, None] @ attention.mean(1).float())[:, 0]) / 2
    return row[0]


def input_gradient(trace: Trace, target: Target) -> Tensor:
    """Input x gradient at the patch embeddings, sum over width of e * dy/de: signed, a noisy baseline."""
    (gradient,) = trace.gradients(target, [trace.embedding])
    return trace.backbone.tokens(trace.embedding.detach() * gradient)[0].sum(-1)


def activation(trace: Trace, target: Target) -> Tensor:
    """The latent's value in every token: the natural map of an SAE trained on patches; says where, not where from."""
    if not isinstance(target, LatentTarget):
        raise InputError("method activation with a target that is not a latent", "a latent", "Use projection instead.")
    with torch.no_grad():
        return target.sae.encode(trace.tokens[0])[:, target.latent]


def projection(trace: Trace, target: Target) -> Tensor:
    """The target's score in every token, signed: an exact split of a `mean` target, only a similarity for `cls`."""
    with torch.no_grad():
        return target.score(trace.tokens[0])


@dataclass(frozen=True)
class Method:
    """A way to make a relevancy map."""

    run: Callable[[Trace, Target], Tensor]
    """Gives one number per token of the layer, `[tokens]`."""
    needs_attention: bool
    """Whether it only works for transformers, where every layer has the same patches and an attention map."""


METHODS: dict[str, Method] = {
    "gradient_rollout": Method(gradient_rollout, needs_attention=True),
    "attention_rollout": Method(attention_rollout, needs_attention=True),
    "input_gradient": Method(input_gradient, needs_attention=True),
    "activation": Method(activation, needs_attention=False),
    "projection": Method(projection, needs_attention=False),
}


def relevancy_map(
    backbone: Backbone,
    sae: SparseAutoencoder,
    image: Image.Image | Tensor,
    layer: str,
    latent: int,
    *,
    method: str = "gradient_rollout",
    token: Place = "cls",
) -> RelevancyMap:
    """Which patches one latent's value comes from; one forward pass up to `layer` and one backward pass.

    image: a PIL image or preprocessed pixels `[3, height, width]`. token: where the latent is read (`Place`).
    InputError for an unknown method, layer, latent or token, and for a method the backbone cannot serve.
    """
    return relevancy_maps(backbone, sae, image, layer, [latent], method=method, token=token)[0]


def relevancy_maps(
    backbone: Backbone,
    sae: SparseAutoencoder,
    image: Image.Image | Tensor,
    layer: str,
    latents: Iterable[int],
    *,
    method: str = "gradient_rollout",
    token: Place = "cls",
) -> tuple[RelevancyMap, ...]:
    """`relevancy_map` of several latents: they share the forward pass."""
    n_prefix = backbone.layers[backbone.layer_names([layer])[0]].n_prefix
    targets = [LatentTarget(sae, latent, token=token, n_prefix=n_prefix) for latent in latents]
    return target_maps(backbone, image, layer, targets, method=method)


def target_maps(
    backbone: Backbone,
    image: Image.Image | Tensor,
    layer: str,
    targets: Iterable[Target],
    *,
    method: str = "gradient_rollout",
) -> tuple[RelevancyMap, ...]:
    """Relevancy maps of any targets at one layer (latents, classes of a probe): they share the forward pass."""
    if method not in METHODS:
        raise InputError(f"relevancy method {method!r}", f"one of {', '.join(METHODS)}")
    # Sessions run in inference mode, where nothing can be differentiated.
    with torch.inference_mode(False), torch.enable_grad():
        pixels = _one_image(backbone, image)
        trace = record(backbone, pixels, layer)
        if METHODS[method].needs_attention and len(trace.attentions) != len(trace.activations):
            works = ", ".join(name for name, row in METHODS.items() if not row.needs_attention)
            raise InputError(f"method {method} on {backbone.id}, which has no attention maps", f"one of {works}")
        grid = backbone.grid(layer, *pixels.shape[-2:])
        return tuple(_as_map(trace, target, method, grid) for target in targets)


def _one_image(backbone: Backbone, image: Image.Image | Tensor) -> Tensor:
    if isinstance(image, Image.Image):
        return backbone.pixels([image])
    pixels = image[None] if image.ndim == 3 else image
    if pixels.ndim != 4 or pixels.shape[:2] != (1, 3):
        raise InputError(f"pixels of shape {tuple(image.shape)}", "one image, [3, height, width]")
    return pixels.to(backbone.device, backbone.dtype)


def _as_map(trace: Trace, target: Target, method: str, grid: tuple[int, int]) -> RelevancyMap:
    scores = METHODS[method].run(trace, target).detach().float().cpu().numpy()
    patches = scores[trace.backbone.layers[trace.layer].n_prefix :]
    return RelevancyMap(patches.reshape(grid), method, trace.layer, target(trace.tokens).item())

"""Explain latents or other targets of one image: they share a forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import Backbone, nearest_cells
from hsae.backbones.places import patch_grid
from hsae.data.open_image import ImageSource
from hsae.errors import InputError
from hsae.relevancy.maps import RelevancyMap
from hsae.relevancy.methods import METHODS, Recorder, default_method
from hsae.relevancy.targets import Place, Target, latent_target
from hsae.relevancy.trace import Trace
from hsae.sae.model import SparseAutoencoder


def relevancy_map(  # noqa: PLR0913 - public: users name what they set
    backbone: Backbone,
    sae: SparseAutoencoder,
    image: ImageSource | Tensor,
    layer: str,
    latent: int,
    *,
    method: str | None = None,
    token: Place = "cls",
) -> RelevancyMap:
    """Which patches one latent's value comes from; one forward pass up to `layer` and one backward pass.

    image: whatever `hsae.open_image` opens, or preprocessed pixels `[3, height, width]`. method: `default_method` says
    which is used when none is named, and why. token: where the latent is read (`Place`).
    InputError for an unknown method, layer, latent or token, and for a method the backbone cannot serve.
    """
    target = latent_target(backbone, sae, layer, latent, token)
    return target_maps(backbone, image, layer, [target], method=method)[0]


def target_maps(
    backbone: Backbone,
    image: ImageSource | Tensor,
    layer: str,
    targets: Iterable[Target],
    *,
    method: str | None = None,
) -> tuple[RelevancyMap, ...]:
    """Relevancy maps of any targets at one layer (latents, classes of a probe): they share the forward pass.

    Without a method, the default is that of the first target's token.
    """
    targets = list(targets)
    if not targets:
        return ()
    chosen = default_method(backbone, layer, targets[0].token) if method is None else method
    return method_maps(backbone, image, layer, targets, [chosen])[chosen]


def method_maps(
    backbone: Backbone, image: ImageSource | Tensor, layer: str, targets: Iterable[Target], methods: Iterable[str]
) -> dict[str, tuple[RelevancyMap, ...]]:
    """`target_maps` by several methods: those that read the same kind of forward pass share it."""
    methods, targets = list(methods), list(targets)
    (layer,) = backbone.layer_names([layer])
    _check_methods(methods)
    # Sessions run in inference mode, where nothing can be differentiated.
    with torch.inference_mode(False), torch.enable_grad():
        pixels = _one_image(backbone, image)
        traces: dict[Recorder, Trace] = {}
        for record in (METHODS[method].record for method in methods):
            traces[record] = traces.get(record) or record(backbone, pixels, layer)
        segments = segments_of(backbone, pixels, layer)
        return {
            method: tuple(_as_map(traces[METHODS[method].record], target, method, segments) for target in targets)
            for method in methods
        }


def layer_maps(
    backbone: Backbone, image: ImageSource | Tensor, targets: Mapping[str, Target], *, method: str | None = None
) -> dict[str, RelevancyMap]:
    """One map per layer, of that layer's own target: all share one forward pass, up to the last of them.

    Without a method, each layer has its default; arguments and errors otherwise as for `target_maps`.
    """
    names = backbone.layer_names(list(targets))
    methods = {name: method or default_method(backbone, name, targets[name].token) for name in names}
    _check_methods(methods.values())
    with torch.inference_mode(False), torch.enable_grad():
        pixels = _one_image(backbone, image)
        traces = {row: row(backbone, pixels, names[-1]) for row in {METHODS[m].record for m in methods.values()}}
        maps = {}
        for name, method_here in methods.items():
            record = METHODS[method_here].record
            whole = traces[record]
            trace = whole.up_to(name) if whole.one_block_per_stage else record(backbone, pixels, name)
            maps[name] = _as_map(trace, targets[name], method_here, segments_of(backbone, pixels, name))
        return maps


def _check_methods(methods: Iterable[str]) -> None:
    for method in methods:
        if method not in METHODS:
            raise InputError(f"relevancy method {method!r}", f"one of {', '.join(METHODS)}")


def _one_image(backbone: Backbone, image: ImageSource | Tensor) -> Tensor:
    if not isinstance(image, Tensor):
        return backbone.pixels([image])
    pixels = image[None] if image.ndim == 3 else image
    if pixels.ndim != 4 or pixels.shape[:2] != (1, 3):
        raise InputError(f"pixels of shape {tuple(image.shape)}", "one image, [3, height, width]")
    return pixels.to(backbone.device, backbone.dtype)


def segments_of(backbone: Backbone, pixels: Tensor, layer: str) -> np.ndarray | None:
    """The segment of every pixel, for a layer whose tokens are not a regular grid; None for one with a grid."""
    layer = backbone.map_layer(layer)
    places = backbone.token_map(layer, pixels).cpu()
    return (
        None
        if torch.equal(places, nearest_cells(*backbone.grid(layer, *places.shape), *places.shape))
        else places.numpy()
    )


def regular_grid(backbone: Backbone, layer: str) -> tuple[int, int] | None:
    """Rows and columns of a layer's patches; None where its tokens lie otherwise, and so in each image elsewhere."""
    side = backbone.preprocessing.image_size
    noise = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    regular = segments_of(backbone, noise.to(backbone.device, backbone.dtype), layer) is None
    return patch_grid(backbone, layer) if regular else None


def _as_map(trace: Trace, target: Target, method: str, segments: np.ndarray | None) -> RelevancyMap:
    if not METHODS[method].serves(trace):
        works = ", ".join(name for name, row in METHODS.items() if row.attention == "none" and row.serves(trace))
        where = f"{trace.layer} of {trace.backbone.id}"
        raise InputError(f"method {method} at {where}, where it has no meaning", f"one of {works}")
    scores = METHODS[method].run(trace, target).detach().float().cpu().numpy()
    patches = scores[trace.n_prefix :].reshape(trace.grid)
    return RelevancyMap(patches, method, trace.layer, target(trace.tokens).item(), segments)

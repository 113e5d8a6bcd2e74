"""`load_backbone`: registry names, Hub ids and local folders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import torch

from hsae.backbones.base import Backbone
from hsae.backbones.weights import weights_file
from hsae.errors import BackboneError, InputError

SUFFIX = "@random"
"""`load_backbone("dinov2-small-focus@random")` gives dinov2-small-focus with random weights."""


class _Options(TypedDict):
    """What every kind of backbone is loaded with."""

    image_size: int
    device: str | torch.device
    dtype: torch.dtype


def _dinov2_small_focus(**options: Any) -> Backbone:
    from hsae.backbones.focus import load_dinov2_small_focus

    return load_dinov2_small_focus(**options)


def _efficientnet_lite0(**options: Any) -> Backbone:
    from hsae.backbones.efficientnet_lite0 import load_efficientnet_lite0

    return load_efficientnet_lite0(**options)


def _published(name: str, **options: Any) -> Backbone:
    from hsae.backbones.checkpoint import load_published

    return load_published(name, **options)


REGISTRY: dict[str, Callable[..., Backbone]] = {
    "dinov2-small-focus": _dinov2_small_focus,
    "efficientnet-lite0": _efficientnet_lite0,
    **{name: partial(_published, name) for name in ("cast-base", "cast-small", "clip-resnet50")},
}


def load_backbone(
    name: str | Path,
    *,
    image_size: int = 224,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
) -> Backbone:
    """Load a frozen backbone by registry name (such as `dinov2-small-focus`), Hub id (`org/name`) or local folder.

    A folder is one in transformers' format; instead of it a checkpoint file (or a folder with one) of a CLIP ResNet or
    of CAST may be named: its kind, width and depth are seen from its tensors.
    Any of these with `@random` behind it is the same architecture with random weights, a null for what an SAE finds.
    image_size: side in pixels of the square the model sees; revision: commit, branch or tag of a Hub id.
    Raises BackboneError for an unknown name (listing the known ones), unreachable or damaged weights.
    """
    options: _Options = {"image_size": image_size, "device": device, "dtype": dtype}
    if str(name).endswith(SUFFIX):
        return with_random_weights(load_backbone(str(name).removesuffix(SUFFIX), revision=revision, **options))
    if str(name) in REGISTRY:
        if revision is not None:
            raise InputError(f"revision {revision!r} of {name}", "none: only Hub ids have revisions")
        return REGISTRY[str(name)](**options)
    if (checkpoint := weights_file(Path(name))) is not None:
        from hsae.backbones.checkpoint import load_checkpoint

        return load_checkpoint(str(name), checkpoint, **options)
    if not Path(name).is_dir() and str(name).count("/") != 1:
        raise BackboneError(
            f"No backbone is called {str(name)!r}",
            f"one of {', '.join(sorted(REGISTRY))}, a Hub id such as facebook/dinov2-small, or an existing folder "
            "or checkpoint",
        )
    from hsae.backbones.hf_load import load_hf_backbone

    return load_hf_backbone(str(name), revision=revision, **options)


def with_random_weights(backbone: Backbone, seed: int = 0) -> Backbone:
    """The same architecture and preprocessing, its weights drawn anew by transformers' own initialisation.

    The same seed gives the same weights under one version of torch and transformers; the fingerprint says which they
    are. BackboneError for a backbone that is not of transformers.
    """
    from hsae.backbones.hf import HFBackbone, HFConvNet

    if not isinstance(backbone, HFBackbone | HFConvNet):
        raise BackboneError(f"{backbone.id}{SUFFIX}", "a backbone of transformers", "Leave out the suffix.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind: Any = type(backbone.model)  # a class of transformers, whose instances are made of a config
        model = kind(backbone.model.config)
    null = type(backbone)(backbone.id + SUFFIX, model, backbone.preprocessing, backbone.revision)
    null.cast(backbone.dtype)
    null.model.to(backbone.device)
    return null

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


def _efficientnet_lite(name: str, **options: Any) -> Backbone:
    from hsae.backbones.efficientnet_lite import load_efficientnet_lite

    return load_efficientnet_lite(name, **options)


def _floor(name: str, **options: Any) -> Backbone:
    from hsae.backbones.floors import load_floor

    return load_floor(name, **options)


def _published(name: str, **options: Any) -> Backbone:
    from hsae.backbones.checkpoint import load_published

    return load_published(name, **options)


_LITE = tuple(f"efficientnet-lite{size}" for size in range(3))
REGISTRY: dict[str, Callable[..., Backbone]] = {
    "dinov2-small-focus": _dinov2_small_focus,
    **{name: partial(_efficientnet_lite, name) for name in _LITE},
    **{name: partial(_floor, name) for name in ("raw-pixels", "colour-histogram")},
    **{name: partial(_published, name) for name in ("cast-base", "cast-small", "clip-resnet50")},
}


def _untrained_cast(name: str, width: int, image_size: int) -> Backbone:
    from hsae.backbones.cast import untrained_cast

    return untrained_cast(name + SUFFIX, width, image_size)


def _untrained_clip_resnet(image_size: int) -> Backbone:
    from hsae.backbones.clip_resnet import RESNET_50, CLIPResNet, CLIPResNetBackbone

    return CLIPResNetBackbone("clip-resnet50" + SUFFIX, CLIPResNet(RESNET_50), image_size)


def _untrained_lite(name: str, image_size: int) -> Backbone:
    from hsae.backbones.efficientnet_lite import untrained_lite

    return untrained_lite(name, name + SUFFIX, image_size)


def _untrained_focus(image_size: int) -> Backbone:
    from hsae.backbones.hf_architectures import untrained_hf_backbone

    return untrained_hf_backbone("dinov2-small-focus", image_size=image_size)


UNTRAINED: dict[str, Callable[[int], Backbone]] = {
    "cast-small": partial(_untrained_cast, "cast-small", 384),
    "cast-base": partial(_untrained_cast, "cast-base", 768),
    "clip-resnet50": _untrained_clip_resnet,
    "dinov2-small-focus": _untrained_focus,
    **{name: partial(_untrained_lite, name) for name in _LITE},
}
"""The architectures of `REGISTRY`, with random weights, for an image size."""


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
        return untrained(str(name).removesuffix(SUFFIX), revision=revision, **options)
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
    from hsae.backbones import hf_architectures
    from hsae.backbones.hf import HFBackbone, HFConvNet

    if not isinstance(backbone, HFBackbone | HFConvNet):
        raise BackboneError(f"{backbone.id}{SUFFIX}", "a backbone of transformers", "Leave out the suffix.")
    kind: Any = type(backbone.model)
    config: Any = backbone.model.config
    null = hf_architectures.with_random_weights(
        backbone.id + SUFFIX, kind, config, backbone.preprocessing, seed=seed, device=backbone.device
    )
    null.revision = backbone.revision
    null.cast(backbone.dtype)
    return null


def untrained(name: str, *, revision: str | None = None, **options: Any) -> Backbone:
    """What `name@random` stands for. Weights are not read, let alone downloaded, where an architecture needs none."""
    if name in UNTRAINED:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            backbone = UNTRAINED[name](options["image_size"])
        backbone.cast(options["dtype"])
        backbone.model.to(options["device"])
        return backbone
    in_transformers = name not in REGISTRY and weights_file(Path(name)) is None
    if in_transformers and (Path(name).is_dir() or name.count("/") == 1):
        from hsae.backbones.hf_load import untrained_or_error

        return untrained_or_error(name, revision=revision, **options)
    return with_random_weights(load_backbone(name, revision=revision, **options))

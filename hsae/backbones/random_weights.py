"""A backbone that has learned nothing: what its SAEs find was in the architecture and the images already."""

from __future__ import annotations

from typing import Any

import torch

from hsae.backbones.base import Backbone
from hsae.errors import BackboneError

SUFFIX = "@random"
"""`load_backbone("dinov2-small-focus@random")` gives dinov2-small-focus with random weights."""


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

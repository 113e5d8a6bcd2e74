"""Where classes are read: a linear probe of one token, or the backbone's own head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from hsae.backbones.base import Backbone, Token
from hsae.measures.probes import LinearProbe

Reader = Callable[[Tensor], Tensor]
"""Activations at the layer where classes are read `[batch, tokens, d_in]` to logits `[batch, n_classes]`."""


class Head(Protocol):
    """A model's own classifier, which reads all tokens of the last layer: `Backbone.classifier`."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    def logits(self, tokens: Tensor) -> Tensor: ...


def reader(backbone: Backbone, classifier: LinearProbe | Head, layer: str, token: Token) -> Reader:
    """How the classifier reads activations at `layer`; `token` is the probe's, a head knows its own."""
    if isinstance(classifier, LinearProbe):
        return lambda x: classifier.logits(backbone.select_token(x, layer, token)[:, 0])
    return classifier.logits


def n_outputs(classifier: LinearProbe | Head) -> int:
    """How many classes it tells apart."""
    return classifier.W.shape[1] if isinstance(classifier, LinearProbe) else len(classifier.classes)

"""Where classes are read: a linear probe of one token, or the backbone's own head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import Backbone, Token
from hsae.errors import InputError
from hsae.measures.probes import LinearProbe
from hsae.steering.edits import Edit

Answer = tuple[np.ndarray, np.ndarray]
"""Logits and probabilities, float32 `[n_classes]` each."""


class Head(Protocol):
    """A model's own classifier, which reads all tokens of the last layer: `Backbone.classifier`."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    def logits(self, tokens: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Readout:
    """A classifier at a layer of a backbone; InputError unless it has one output per class."""

    backbone: Backbone
    classifier: LinearProbe | Head
    classes: tuple[str, ...]
    """WordNet ids, in the order of the classifier's outputs."""
    layer: str
    token: Token = "cls"
    """The token a probe reads, cls or mean; a head reads all tokens."""

    def __post_init__(self) -> None:
        self.backbone.layer_names([self.layer])
        n = self.classifier.W.shape[1] if isinstance(self.classifier, LinearProbe) else len(self.classifier.classes)
        if len(self.classes) != n:
            raise InputError(f"{len(self.classes)} classes", f"one per output of the classifier, {n}")

    def logits(self, x: Tensor) -> Tensor:
        """`[batch, n_classes]` of activations at the layer, `[batch, tokens, d_in]`."""
        if isinstance(self.classifier, LinearProbe):
            return self.classifier.logits(self.backbone.select_token(x, self.layer, self.token)[:, 0])
        return self.classifier.logits(x)

    @torch.no_grad()
    def answers(self, x: Tensor) -> list[Answer]:
        """Logits and probabilities of each of activations `[batch, tokens, d_in]`."""
        logits = self.logits(x).float().cpu()
        return list(zip(logits.numpy(), logits.softmax(-1).numpy(), strict=True))

    def reached_by(self, edit: Edit) -> bool:
        """Whether an edit can change what a probe reads: patches edited at its layer no longer reach the class token.

        True for a head, which may read all tokens.
        """
        if not isinstance(self.classifier, LinearProbe):
            return True
        return any(
            step.layer != self.layer or step.scope == "all" or (step.scope == "cls") == (self.token == "cls")
            for step in edit.steps()
        )

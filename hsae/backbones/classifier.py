"""The classes a backbone was trained to tell apart, and its own head for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Classifier:
    """A backbone's supervised head: what the model itself says, where a probe says what could be read."""

    classes: tuple[str, ...]
    """WordNet ids, in the order of the logits."""
    head: Callable[[Tensor], Tensor]

    def logits(self, tokens: Tensor) -> Tensor:
        """Logits `[batch, n_classes]` from the activations `[batch, tokens, d_in]` of the last layer."""
        return self.head(tokens)

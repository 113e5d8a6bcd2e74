"""The methods: every one is a function of a recorded forward pass and a target, and one row of `METHODS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from hsae.relevancy.gradients import input_gradient
from hsae.relevancy.readout import activation, projection
from hsae.relevancy.rollout import attention_rollout, gradient_rollout
from hsae.relevancy.trace import Trace
from hsae.targets import Target


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

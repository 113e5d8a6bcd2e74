"""The methods: every one is a function of a recorded forward pass and a target, and one row of `METHODS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.relevancy.blocks import direct, legrad
from hsae.relevancy.gradients import grad_cam, input_gradient
from hsae.relevancy.readout import activation, projection
from hsae.relevancy.rollout import attention_rollout, gradient_rollout
from hsae.relevancy.trace import Trace, record, record_direct, record_lrp
from hsae.targets import Target


@dataclass(frozen=True)
class Method:
    """A way to make a relevancy map."""

    run: Callable[[Trace, Target], Tensor]
    """Gives one number per token of the layer, `[tokens]`."""
    needs_attention: bool = False
    """Whether it only works for transformers, where every layer has the same patches and an attention map."""
    record: Callable[[Backbone, Tensor, str], Trace] = record
    """The forward pass it reads."""

    def serves(self, trace: Trace) -> bool:
        """Whether the recorded pass has what the method needs."""
        return not self.needs_attention or len(trace.attentions or trace.values) == len(trace.activations)


METHODS: dict[str, Method] = {
    "gradient_rollout": Method(gradient_rollout, needs_attention=True),
    "attn_lrp": Method(input_gradient, needs_attention=True, record=record_lrp),
    "legrad": Method(legrad, needs_attention=True),
    "direct": Method(direct, needs_attention=True, record=record_direct),
    "grad_cam": Method(grad_cam),
    "input_gradient": Method(input_gradient),
    "attention_rollout": Method(attention_rollout, needs_attention=True),
    "activation": Method(activation),
    "projection": Method(projection),
}

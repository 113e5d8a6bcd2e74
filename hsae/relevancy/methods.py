"""The methods: every one is a function of a recorded forward pass and a target, and one row of `METHODS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.relevancy.blocks import direct, legrad
from hsae.relevancy.gradients import grad_cam, input_gradient
from hsae.relevancy.readout import activation, projection
from hsae.relevancy.rollout import attention_rollout, gradient_rollout
from hsae.relevancy.trace import Trace, record, record_direct, record_lrp
from hsae.targets import Target

Recorder = Callable[[Backbone, Tensor, str], Trace]


@dataclass(frozen=True)
class Method:
    """A way to make a relevancy map."""

    run: Callable[[Trace, Target], Tensor]
    """Gives one number per token of the layer, `[tokens]`."""
    needs_attention: bool = False
    """Whether it only works for transformers, where every layer has the same patches and an attention map."""
    record: Recorder = record
    """The forward pass it reads."""

    starts: Literal["layer", "before", "embedding"] = "layer"
    """The recorded state whose tokens the scores are of; segments of another layer cannot be brought to this one."""

    def serves(self, trace: Trace) -> bool:
        """Whether the recorded pass has what the method needs."""
        start = {"layer": trace.tokens, "before": trace.before, "embedding": trace.embedding}[self.starts]
        return trace.comparable(start) and (trace.attends or not self.needs_attention)


METHODS: dict[str, Method] = {
    "gradient_rollout": Method(gradient_rollout, needs_attention=True),
    "attn_lrp": Method(input_gradient, needs_attention=True, record=record_lrp, starts="embedding"),
    "legrad": Method(legrad, needs_attention=True),
    "direct": Method(direct, needs_attention=True, record=record_direct),
    "grad_cam": Method(grad_cam, starts="before"),
    "input_gradient": Method(input_gradient, starts="embedding"),
    "attention_rollout": Method(attention_rollout, needs_attention=True),
    "activation": Method(activation),
    "projection": Method(projection),
}


def usable_methods(backbone: Backbone, pixels: Tensor, layer: str) -> tuple[str, ...]:
    """The methods that can explain `layer` for pixels `[1, 3, height, width]`; some forward passes."""
    with torch.inference_mode(False), torch.enable_grad():
        traces = {row.record: row.record(backbone, pixels, layer) for row in METHODS.values()}
    return tuple(name for name, row in METHODS.items() if row.serves(traces[row.record]))

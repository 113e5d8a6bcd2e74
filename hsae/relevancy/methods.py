"""The methods: every one is a function of a recorded forward pass and a target, and one row of `METHODS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.backbones.maps import MapBackbone
from hsae.relevancy.blocks import direct, legrad
from hsae.relevancy.gradients import grad_cam, input_gradient
from hsae.relevancy.readout import activation, projection
from hsae.relevancy.rollout import attention_rollout, gradient_rollout
from hsae.relevancy.targets import Place, Target
from hsae.relevancy.trace import Trace, record, record_direct, record_lrp

Recorder = Callable[[Backbone, Tensor, str], Trace]


@dataclass(frozen=True)
class Method:
    """A way to make a relevancy map."""

    run: Callable[[Trace, Target], Tensor]
    """Gives one number per token of the layer, `[tokens]`."""
    attention: Literal["none", "last", "all"] = "none"
    """The blocks that have to attend between the layer's own tokens: none, the last one, or all up to it."""
    record: Recorder = record
    """The forward pass it reads."""

    starts: Literal["layer", "before", "embedding"] = "layer"
    """The recorded state whose tokens the scores are of; segments of another layer cannot be brought to this one."""

    def serves(self, trace: Trace) -> bool:
        """Whether the recorded pass has what the method needs; a pool's own attention is all that any method needs."""
        if trace.pool_attends:
            return True
        start = {"layer": trace.tokens, "before": trace.before, "embedding": trace.embedding}[self.starts]
        attends = {"none": True, "last": trace.attends_last, "all": trace.attends}[self.attention]
        return attends and trace.comparable(start)


METHODS: dict[str, Method] = {
    "gradient_rollout": Method(gradient_rollout, attention="all"),
    "attn_lrp": Method(input_gradient, attention="all", record=record_lrp, starts="embedding"),
    "legrad": Method(legrad, attention="all"),
    "direct": Method(direct, attention="last", record=record_direct),
    "grad_cam": Method(grad_cam, starts="before"),
    "input_gradient": Method(input_gradient, starts="embedding"),
    "attention_rollout": Method(attention_rollout, attention="all"),
    "activation": Method(activation),
    "projection": Method(projection),
}


def usable_methods(backbone: Backbone, pixels: Tensor, layer: str) -> tuple[str, ...]:
    """The methods that can explain `layer` for pixels `[1, 3, height, width]`; some forward passes."""
    with torch.inference_mode(False), torch.enable_grad():
        traces = {row.record: row.record(backbone, pixels, layer) for row in METHODS.values()}
    return tuple(name for name, row in METHODS.items() if row.serves(traces[row.record]))


def default_method(backbone: Backbone, layer: str, token: Place) -> str:
    """The method used when none is named, by what the target reads at the layer.

    * cls: attn_lrp. Removal gap (`faithfulness.curves.Curve.gap`, blurred patches) of 90 latents of the starter
      artifact, mean of blocks 6, 9 and 11 of dinov2-small-focus: attn_lrp 0.46, gradient_rollout 0.41, direct 0.39,
      grad_cam 0.24, legrad 0.20, attention_rollout 0.15, random 0.00, input_gradient -0.13 (standard errors 0.03 to
      0.04). With another latent's map attn_lrp has 0.10 and gradient_rollout 0.27: the former depends more on
      the latent it explains. Layers of segments, which attn_lrp cannot reach: direct. CNNs: grad_cam.
      The same for patches that are named one by one.
    * mean: projection, which splits an average exactly. Gap of 90 latents of efficientnet-lite0, mean of stage_4,
      stage_6 and head: projection 0.35, grad_cam 0.31, activation 0.28, input_gradient 0.02, random -0.01.
    * patch: activation, the natural map of an SAE trained on patches.
    * Any at a pool, which leaves one token: attn_lrp, back to the map that is pooled (as for cls; not measured there).
    """
    if backbone.map_layer(layer) != layer:
        return "attn_lrp"
    if token == "patch":
        return "activation"
    if token == "mean":
        return "projection"
    if isinstance(backbone, MapBackbone):
        return "grad_cam"
    side = backbone.preprocessing.image_size
    return "direct" if backbone.grid(layer, side, side)[0] == 1 else "attn_lrp"

"""Loss and gradients of one batch: by hand where that is covered and faster, by autograd everywhere else."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from hsae.sae.bags import can_compile
from hsae.sae.config import SAEConfig
from hsae.sae.losses import Forward, reconstruction
from hsae.sae.objective import Objective
from hsae.sae.outcome import GradientStep, Outcome
from hsae.sae.topk_search import DenseSearch, RoundedDenseSearch
from hsae.sae.topk_step import TopKStep
from hsae.sae.variants import VARIANTS, Variant
from hsae.sae.weights import Weights


def choose_step(config: SAEConfig, d_in: int, device: torch.device, bf16: bool = False) -> GradientStep:
    """The fastest step for an objective; steps by hand share their buffers between the layers that use them."""
    objective, variant = config.objective(d_in), VARIANTS[config.activation]
    by_hand = variant.step(objective) if variant.step and device.type == "cpu" and not bf16 else None
    if by_hand:
        return by_hand
    if variant.step is TopKStep and device.type == "cuda":  # 2 of 12 dense products are left
        if can_compile():
            reads = torch.bfloat16 if bf16 else torch.float32
            return TopKStep(objective, partial(RoundedDenseSearch, exact=not bf16), reads)
        if not bf16:
            return TopKStep(objective, DenseSearch)
    return AutogradStep(variant, objective, bf16, "inductor" if device.type == "cuda" and can_compile() else None)


class AutogradStep:
    """Any variant and objective, on any device; with a torch.compile backend, as few kernels as that makes of it."""

    def __init__(self, variant: Variant, objective: Objective, bf16: bool = False, backend: str | None = None) -> None:
        self.variant, self.objective, self.bf16 = variant, objective, bf16
        self.forward = torch.compile(self._forward, backend=backend, dynamic=False) if backend else self._forward

    def __call__(self, sae: Weights, x: Tensor, weight: Tensor) -> Outcome:
        """Gradients of the reconstruction loss plus the variant's penalty."""
        sae.zero_grad(set_to_none=True)
        with torch.autocast(x.device.type, torch.bfloat16) if self.bf16 else nullcontext():
            loss, error, counts = self.forward(sae, x, weight)
        loss.backward()
        return Outcome(loss.detach(), error, counts)

    def _forward(self, sae: Weights, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pre = sae.pre_activation(x)
        z = self.variant.activate(sae, pre)
        f = Forward(x, pre, z, sae.decode(z))
        loss = reconstruction(sae, f, self.objective) + self.variant.penalty(sae, f, weight)
        return loss, (f.x_hat - x).detach().float(), (z.detach() > 0).sum(0).float()

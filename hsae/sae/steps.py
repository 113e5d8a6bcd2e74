"""Loss and gradients of one batch: by hand where that is covered and faster (CPU), by autograd everywhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from shutil import which

import torch
from torch import Tensor

from hsae.sae.config import SAEConfig
from hsae.sae.losses import Forward, reconstruction
from hsae.sae.model import SparseAutoencoder
from hsae.sae.outcome import Outcome
from hsae.sae.relu_step import ReLUStep
from hsae.sae.topk_step import TopKStep

GradientStep = Callable[[SparseAutoencoder, Tensor], Outcome]
"""Writes the gradients for a batch `[batch, d_in]` into the parameters, whatever was there."""


def choose_step(config: SAEConfig, d_in: int, d_sae: int, device: torch.device, bf16: bool = False) -> GradientStep:
    """The fastest step for an objective; steps by hand share their buffers between the layers that use them."""
    if device.type == "cpu" and not bf16 and config.prefixes == 1:
        if config.activation == "topk":
            return TopKStep(d_sae, config.k)
        if config.activation == "relu":
            return ReLUStep(d_in, d_sae, config.l1)
    return AutogradStep(config, bf16, "inductor" if device.type == "cuda" and can_compile() else None)


def can_compile() -> bool:
    """Whether kernels can be compiled for a GPU here: that needs Triton and a C compiler."""
    return find_spec("triton") is not None and any(map(which, (os.environ.get("CC", "cc"), "gcc", "clang")))


class AutogradStep:
    """Any variant and objective, on any device; with a torch.compile backend, as few kernels as that makes of it."""

    def __init__(self, config: SAEConfig, bf16: bool = False, backend: str | None = None) -> None:
        self.config, self.bf16 = config, bf16
        self.forward = torch.compile(self._forward, backend=backend, dynamic=False) if backend else self._forward

    def __call__(self, sae: SparseAutoencoder, x: Tensor) -> Outcome:
        """Gradients of the reconstruction loss plus the variant's penalty."""
        sae.zero_grad(set_to_none=True)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            loss, error, counts = self.forward(sae, x)
        loss.backward()
        return Outcome(loss.detach(), error, counts)

    def _forward(self, sae: SparseAutoencoder, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pre = sae.pre_activation(x)
        z = sae.activate(pre)
        f = Forward(x, pre, z, sae.decode(z))
        loss = reconstruction(sae, f, self.config) + sae.variant.penalty(sae, f, self.config)
        return loss, (f.x_hat - x).detach().float(), (z.detach() > 0).sum(0).float()

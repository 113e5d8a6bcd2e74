"""Linear probes: how well classes can be read from a layer's activations, reconstructions or latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hsae.errors import InputError


@dataclass(frozen=True)
class LinearProbe:
    """logits = ((x - mean) / std) W + b over an ordered list of classes."""

    W: Tensor
    """`[d_in, n_classes]`."""
    b: Tensor
    """`[n_classes]`."""
    mean: Tensor
    """`[d_in]`, of the training activations."""
    std: Tensor
    """`[d_in]`, of the training activations; 1 where a dimension is constant."""

    def logits(self, x: Tensor) -> Tensor:
        """Activations `[..., d_in]` to logits `[..., n_classes]`."""
        return ((x - self.mean) / self.std) @ self.W + self.b

    def accuracy(self, x: Tensor, labels: Tensor, top: int = 1) -> float:
        """Share in [0, 1] of `x [n, d_in]` whose label is among the `top` largest logits; NaN for no images."""
        top = min(top, self.W.shape[1])
        hits = (self.logits(x).topk(top, dim=-1).indices == labels[:, None]).any(-1)
        return hits.float().mean().item()


def fit_probe(
    x: Tensor,
    labels: Tensor,
    n_classes: int,
    *,
    epochs: int = 30,
    batch_size: int = 1024,
    lr: float = 1e-2,
    weight_decay: float = 1e-3,
    seed: int = 0,
) -> LinearProbe:
    """Multinomial logistic regression on standardised `x [n, d_in]`, AdamW with a cosine schedule.

    labels `[n]`: class indices; rows with label -1 are left out. InputError when nothing is labelled.
    """
    known = labels >= 0
    x, labels = x[known], labels[known]
    if len(x) == 0 or n_classes < 1:
        raise InputError("no labelled activations to fit a probe on", "images with class labels")
    mean, std = x.mean(0), x.std(0, correction=0)
    std = torch.where(std > 1e-6 * std.max().clamp_min(1e-12), std, torch.ones_like(std))
    weight = torch.zeros(x.shape[1], n_classes, device=x.device, requires_grad=True)
    bias = torch.zeros(n_classes, device=x.device, requires_grad=True)
    steps = epochs * -(-len(x) // batch_size)
    optimiser = torch.optim.AdamW([weight, bias], lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch_size):
            loss = cross_entropy(((x[rows] - mean) / std) @ weight + bias, labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return LinearProbe(weight.detach(), bias.detach(), mean, std)

"""Linear probes: how well classes can be read from a layer's activations, reconstructions or latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hsae.errors import InputError, TrainingError


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
        """Share in [0, 1] of `x [n, d_in]` whose label is among the `top` largest logits.

        Rows with label -1 are left out; NaN when no row is left.
        """
        x, labels = x[labels >= 0], labels[labels >= 0]
        top = min(top, self.W.shape[1])
        hits = (self.logits(x).topk(top, dim=-1).indices == labels[:, None]).any(-1)
        return hits.float().mean().item()


def fit_probe(
    x: Tensor,
    labels: Tensor,
    n_classes: int,
    *,
    transform: Callable[[Tensor], Tensor] | None = None,
    epochs: int = 30,
    batch_size: int = 1024,
    lr: float = 1e-2,
    weight_decay: float = 1e-3,
    seed: int = 0,
) -> LinearProbe:
    """Multinomial logistic regression on standardised features of `x [n, d_in]`: AdamW with a cosine schedule.

    labels `[n]`: class indices; rows with label -1 are left out. transform maps a batch of x to the features the
    probe reads (default: x itself), so that wide latents are never all in memory at once; it gets no gradients.
    InputError when nothing is labelled or labels do not fit; TrainingError when activations are not finite.
    """
    labelled = labels >= 0
    if len(x) != len(labels) or not labelled.any() or labels.max() >= n_classes:
        got = f"{len(x)} activations, {int(labelled.sum())} of {len(labels)} labels known, {n_classes} classes"
        raise InputError(got, "a label in 0 .. n_classes - 1, or -1, for each activation, and one that is known")
    x, labels = x[labelled], labels[labelled]
    batch_size = min(batch_size, max(64, len(x) // 16))  # enough steps for a small training set
    features = torch.no_grad()(transform or (lambda batch: batch))
    mean, std = _mean_and_std(x, features, batch_size)
    weight = torch.zeros(len(mean), n_classes, device=x.device, requires_grad=True)
    bias = torch.zeros(n_classes, device=x.device, requires_grad=True)
    optimiser = torch.optim.AdamW([weight, bias], lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * -(-len(x) // batch_size))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch_size):
            with torch.enable_grad():
                loss = cross_entropy(((features(x[rows]) - mean) / std) @ weight + bias, labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return LinearProbe(weight.detach(), bias.detach(), mean, std)


@torch.no_grad()
def _mean_and_std(x: Tensor, features: Callable[[Tensor], Tensor], batch_size: int) -> tuple[Tensor, Tensor]:
    """Per feature; the std of a feature that is constant up to rounding is set to 1, so that it is not blown up."""
    shift = features(x[:1]).double()  # sums of squares far from zero would lose the variance
    total = squares = torch.zeros((), dtype=torch.float64, device=x.device)
    for part in x.split(batch_size):
        values = features(part).double() - shift
        total = total + values.sum(0)
        squares = squares + values.pow(2).sum(0)
    std = (squares / len(x) - (total / len(x)).pow(2)).clamp_min(0).sqrt()
    mean = shift[0] + total / len(x)
    if not (mean.isfinite() & std.isfinite()).all():
        raise TrainingError("activations that are not finite", "finite numbers", "Extract the activations again.")
    return mean.float(), std.where(std > 1e-6 * mean.abs(), 1).float()

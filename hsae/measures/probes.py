"""Linear probes: how well classes can be read from a layer's activations, reconstructions or latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hsae.errors import InputError, TrainingError
from hsae.measures.calibration import calibrating_temperature
from hsae.measures.examples import Examples, ExamplesInMemory, Rows
from hsae.measures.splits import rows_apart

Reading = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class LinearProbe:
    """logits = (((x - mean) / std) W + b) / temperature over an ordered list of classes."""

    W: Tensor
    """`[d_in, n_classes]`."""
    b: Tensor
    """`[n_classes]`."""
    mean: Tensor
    """`[d_in]`, of the training activations."""
    std: Tensor
    """`[d_in]`, of the training activations; 1 where a dimension is constant."""
    temperature: float = 1.0
    """Chosen so that the softmax of the logits is calibrated; 1 where there was nothing to choose it on."""
    penalty: float | None = None
    """That it was fitted with; not stored with an artifact."""

    def logits(self, x: Tensor) -> Tensor:
        """Activations `[..., d_in]` to logits `[..., n_classes]`."""
        return (((x - self.mean) / self.std) @ self.W + self.b) / self.temperature

    def pushed(self, direction: Tensor) -> Tensor:
        """How the logits `[..., n_classes]` change when `direction` `[..., d_in]` is added to any activation."""
        return (direction / self.std) @ self.W / self.temperature

    def accuracy(self, x: Tensor, labels: Tensor, top: int = 1) -> float:
        """Share in [0, 1] of `x [n, d_in]` whose label is among the `top` largest logits.

        Rows with label -1 are left out; NaN when no row is left.
        """
        x, labels = x[labels >= 0], labels[labels >= 0]
        top = min(top, self.W.shape[1])
        hits = (self.logits(x).topk(top, dim=-1).indices == labels[:, None]).any(-1)
        return hits.float().mean().item()


@dataclass(frozen=True)
class ProbeSettings:
    """How a probe is fitted."""

    penalties: tuple[float, ...] = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
    """Tried in this order, the strongest first."""
    unchosen: float = 0.003
    """The penalty where there is nothing to choose one on."""
    scale: Literal["each", "common"] = "each"
    """Divide every feature by its own standard deviation, or all by the root of their mean variance: latents share a
    unit, and those that seldom fire would be blown up (block 11 of the starter artifact: 0.09 nats)."""
    epochs: int = 4
    """With each penalty; more where they are fewer than `steps`."""
    steps: int = 100
    batch_size: int = 1024
    lr: float = 3e-2
    share_apart: float = 0.15
    """Of every class, to choose on where no images are given for it."""
    seed: int = 0


def fit_probe(
    x: Tensor,
    labels: Tensor,
    n_classes: int,
    *,
    choice: tuple[Tensor, Tensor] | None = None,
    reading: Reading | None = None,
    settings: ProbeSettings | None = None,
) -> LinearProbe:
    """Multinomial logistic regression with the penalty and the temperature that images not trained on favour.

    Minimises mean cross-entropy + penalty / 2 ||W||^2 over standardised features of `x [n, d_in]` by Adam with a cosine
    schedule, one penalty after another, each from where the one before ended, as long as the calibrated negative
    log-likelihood of the choice falls.
    labels `[n]`: class indices; rows with label -1 are left out. choice: further activations and labels; without them
    `settings.share_apart` of every class is set apart and not trained on.
    reading: maps a batch of x to the features that the probe reads (default: x itself), so that wide latents are never
    all in memory at once; it gets no gradients.
    InputError when nothing is labelled or labels do not fit; TrainingError when activations are not finite.
    """
    settings = settings or ProbeSettings()
    known = labels >= 0
    if len(x) != len(labels) or not known.any() or labels.max() >= n_classes:
        got = f"{len(x)} activations, {int(known.sum())} of {len(labels)} labels known, {n_classes} classes"
        raise InputError(got, "a label in 0 .. n_classes - 1, or -1, for each activation, and one that is known")
    train, apart = _train_and_choice(x[known], labels[known], choice, settings)
    return fit_examples(ExamplesInMemory(*train), apart, n_classes, reading=reading, settings=settings)


def fit_examples(
    examples: Examples,
    choice: Rows,
    n_classes: int,
    *,
    reading: Reading | None = None,
    settings: ProbeSettings | None = None,
) -> LinearProbe:
    """`fit_probe` on examples that need not be in memory, all with a label; choice: activations with a label each."""
    settings = settings or ProbeSettings()
    reading = torch.no_grad()(reading or (lambda batch: batch))
    descent = _Descent(examples, reading, n_classes, settings)
    if not len(choice[1]):
        return descent.run(settings.unchosen)
    best, least = None, float("inf")
    for penalty in settings.penalties:
        probe, nll = _calibrated(descent.run(penalty), *choice, reading)
        if nll >= least:
            break
        best, least = probe, nll
    if best is None:
        raise TrainingError("probes that are not finite", "a smaller step", f"lr {settings.lr} may be too large.")
    return best


def _train_and_choice(x: Tensor, labels: Tensor, choice: Rows | None, settings: ProbeSettings) -> tuple[Rows, Rows]:
    """Activations and labels to train and to choose on, all labelled."""
    if choice is not None:
        held, truth = choice
        return (x, labels), (held[truth >= 0], truth[truth >= 0])
    apart = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    apart[torch.from_numpy(rows_apart(labels.tolist(), settings.share_apart, settings.seed))] = True
    return (x[~apart], labels[~apart]), (x[apart], labels[apart])


@torch.no_grad()
def _calibrated(probe: LinearProbe, x: Tensor, labels: Tensor, reading: Reading) -> tuple[LinearProbe, float]:
    """The probe with its best temperature, and the mean negative log-likelihood in nats that it then has."""
    logits = torch.cat([probe.logits(reading(part)) for part in x.split(ProbeSettings.batch_size)])
    temperature = calibrating_temperature(logits, labels)
    return replace(probe, temperature=temperature), cross_entropy(logits / temperature, labels).item()


class _Descent:
    """Weights that go on from where the last penalty left them."""

    def __init__(self, examples: Examples, reading: Reading, n_classes: int, settings: ProbeSettings) -> None:
        self.examples, self.reading, self.settings = examples, reading, settings
        self.batch_size = min(settings.batch_size, max(64, len(examples) // 16))  # enough steps for few images
        self.mean, std = _mean_and_std(examples, reading, self.batch_size)
        self.std = (_each if settings.scale == "each" else _common)(std)
        self.weight = torch.zeros(len(std), n_classes, device=std.device, requires_grad=True)
        self.bias = torch.zeros(n_classes, device=std.device, requires_grad=True)

    def run(self, penalty: float) -> LinearProbe:
        """The probe after `settings.epochs` with a penalty, not calibrated."""
        batches = self.examples.steps(self.batch_size)
        epochs = max(self.settings.epochs, -(-self.settings.steps // batches))
        optimiser = torch.optim.Adam([self.weight, self.bias], lr=self.settings.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * batches)
        for x, labels in self.examples.epochs(epochs, self.batch_size, self.settings.seed):
            optimiser.zero_grad()
            self._loss(x, labels, penalty).backward()
            optimiser.step()
            schedule.step()
        weight, bias = self.weight.detach().clone(), self.bias.detach().clone()
        return LinearProbe(weight, bias, self.mean, self.std.clone(), penalty=penalty)

    @torch.enable_grad()
    def _loss(self, x: Tensor, labels: Tensor, penalty: float) -> Tensor:
        features = (self.reading(x) - self.mean) / self.std
        error = cross_entropy(features @ self.weight + self.bias, labels)
        return error + penalty / 2 * self.weight.square().sum()


@torch.no_grad()
def _mean_and_std(examples: Examples, features: Reading, batch_size: int) -> tuple[Tensor, Tensor]:
    """Per feature; the std of a feature that is constant up to rounding is 0."""
    shift = total = squares = torch.zeros(())
    for number, part in enumerate(examples.rows(batch_size)):
        values = features(part).double()
        if number == 0:
            shift = values[0].clone()  # sums of squares far from zero would lose the variance
        values = values - shift
        total, squares = total + values.sum(0), squares + values.pow(2).sum(0)
    std = (squares / len(examples) - (total / len(examples)).pow(2)).clamp_min(0).sqrt()
    mean = shift + total / len(examples)
    if not (mean.isfinite() & std.isfinite()).all():
        raise TrainingError("activations that are not finite", "finite numbers", "Extract the activations again.")
    return mean.float(), std.where(std > 1e-6 * mean.abs(), 0).float()


def _each(std: Tensor) -> Tensor:
    """The scale of each feature; that of a constant one is 1, so that it is not blown up."""
    return std.where(std > 0, 1)


def _common(std: Tensor) -> Tensor:
    """One scale for all: the root of the mean variance of those that vary: latents that never fire say nothing."""
    varying = std[std > 0]
    return varying.square().mean().sqrt().expand_as(std) if len(varying) else torch.ones_like(std)

"""One layer's SAE in training: weights, optimiser, dead-latent tracker, and everything a resumed run needs of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from hsae.errors import TrainingError
from hsae.sae.bank import InputScale, layer_seed
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.dead import DeadTracker, auxk_loss, resample
from hsae.sae.finish import finish
from hsae.sae.frozen import WEIGHTS, randomise
from hsae.sae.model import SparseAutoencoder
from hsae.sae.outcome import GradientStep, Outcome
from hsae.sae.parallel import average, whole_batch
from hsae.sae.sparsity import STRIDE, SparsityControl, distance


@dataclass(frozen=True)
class TrainingRun:
    """What the layers that are trained together share."""

    sae: SAEConfig
    train: TrainConfig
    share: tuple[int, int] = (0, 1)
    """This process's number and how many have a share of every batch."""
    steps: int = 0
    """In all."""


class LayerTraining:
    """Advances one SAE by batches of raw activations.

    On a GPU no step waits for it: what the host must know is asked for at measured points and checkpoints.
    """

    def __init__(
        self, name: str, sae: SparseAutoencoder, scale: InputScale, step: GradientStep, run: TrainingRun
    ) -> None:
        self.name, self.sae, self.config, self.train = name, sae, run.sae, run.train
        self.scale = scale.to(self.device)
        self.gradient_step, (_, self.processes) = step, run.share
        sae.processes = self.processes
        if run.train.frozen != "none":
            randomise(sae, torch.Generator().manual_seed(layer_seed(run.train.seed, name)))
        sae.W_enc = Parameter(sae.W_enc.detach().T.contiguous().T)  # both matrices row by row of the latents
        learned = {name: p for name, p in sae.named_parameters() if name not in WEIGHTS[run.train.frozen]}
        self.weights = {name: _rows(parameter.detach()) for name, parameter in learned.items()}
        self.optimiser = torch.optim.Adam(self.weights.values(), lr=run.train.lr, fused=True)
        self.penalty = SparsityControl(run.sae.penalty_weight, run.sae.l0_target, run.steps, self.device)
        self.prompt = self.device.type == "cpu"  # where numbers can be looked at without waiting for them
        self.tracker = DeadTracker(sae.d_sae, run.sae.dead_after, self.device)
        self.finite = torch.ones((), dtype=torch.bool, device=self.device)
        self.last: tuple[Tensor, Outcome, int] | None = None

    @property
    def device(self) -> torch.device:
        """Where it trains."""
        return self.sae.W_enc.device

    def advance(self, raw: Tensor, rate: float, step: int) -> None:
        """Step number `step` (0-based) at learning rate `rate` on `raw [batch, d_in]`.

        TrainingError when the loss is not finite, on a CPU, where the weights stay; a GPU is asked by `require_finite`.
        """
        x = self.scale.normalise(raw.to(self.device, non_blocking=True))
        outcome = self._gradients(x)
        self.finite = self.finite & torch.isfinite(outcome.loss)
        if self.prompt:
            require_finite([self], step)
        self._update(rate)
        self._control(outcome.counts.sum() / len(x), step)
        self.tracker.update(outcome.counts > 0, len(x) * self.processes)
        dead = self.tracker.dead
        if len(dead) and self._resamples(rate, step):
            self._resample(dead, x, outcome.error, step)
        self.sae.normalise_decoder()
        self.last = x, outcome, len(dead)

    def measured(self) -> dict[str, Tensor]:
        """loss, fvu (before any whitening), l0 and dead (a share) of the last step."""
        assert self.last is not None
        x, outcome, dead = self.last
        return {
            "loss": outcome.loss,
            "fvu": self.scale.unmapped(outcome.error).pow(2).sum() / self.scale.unmapped(x).pow(2).sum(),
            "l0": outcome.counts.sum() / len(x),
            "dead": torch.full((), dead / self.sae.d_sae, device=self.device),
        }

    @torch.no_grad()
    def _control(self, l0: Tensor, step: int) -> None:
        """Bring the L0 nearer to its target."""
        self.penalty.update(l0, step)
        if self.sae.variant.steered and self.sae.variant.demand:
            self.sae.variant.demand(self.sae, STRIDE * distance(l0, self.sae.k))

    def _update(self, rate: float) -> None:
        """Clip and take Adam's step on contiguous tensors: the fused kernel copies all others there and back."""
        parameters = dict(self.sae.named_parameters())
        gradients = {name: _rows(_gradient(parameters[name])) for name in self.weights}
        norm = torch.nn.utils.get_total_norm(list(gradients.values()))
        if not self.prompt or norm > self.train.clip:
            torch._foreach_mul_(list(gradients.values()), (self.train.clip / norm).clamp(max=1))
        for name, gradient in gradients.items():
            self.weights[name].grad = gradient
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad()  # gradients of one layer at a time are in memory
        self.sae.zero_grad()

    def _resamples(self, rate: float, step: int) -> bool:
        """Only at the peak rate: a latent replaced near the end has no time to learn."""
        every = self.train.resample_every
        return every > 0 and (step + 1) % every == 0 and rate == self.train.lr

    def _resample(self, dead: Tensor, x: Tensor, error: Tensor, step: int) -> None:
        generator = torch.Generator().manual_seed(layer_seed(self.train.seed + step, self.name))
        x, error = (whole_batch(share, self.processes) for share in (x, error))
        resample(self.sae, dead, x, error, generator)
        self.tracker.silent[dead] = 0
        for name in ("W_enc", "b_enc", "W_dec"):
            moments = self._moments(name)
            moments["exp_avg"][dead] = 0.0
            moments["exp_avg_sq"][dead] = 0.0

    def _gradients(self, x: Tensor) -> Outcome:
        outcome, dead = self.gradient_step(self.sae, x, self.penalty.weight), self.tracker.dead
        if self.config.auxk and len(dead):
            aux = self.config.auxk * auxk_loss(self.sae, x, -outcome.error, dead, self.sae.variant.lifts)
            aux.backward()
            outcome = outcome._replace(loss=outcome.loss + aux.detach())
        if self.processes > 1:
            average([*map(_gradient, self.sae.parameters()), outcome.loss, outcome.counts])
        return outcome

    def state(self) -> dict[str, Tensor]:
        """Every tensor that decides how training goes on, by name."""
        tensors = {f"sae.{name}": value for name, value in self.sae.state_dict().items()}
        for name in self.weights:
            tensors |= {f"{key}.{name}": value for key, value in self._moments(name).items()}
        return tensors | {"silent": self.tracker.silent, **self.scale.tensors(), **self.penalty.state()}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        for name, value in self.state().items():
            value.copy_(tensors[name])
        self.tracker.look_again()

    @torch.no_grad()
    def finished(self, raw: Tensor) -> dict[str, float]:
        """Make the SAE that of raw activations, on the CPU; returns what that changed, measured on `raw [n, d_in]`."""
        sae = self.sae.cpu()
        sae.processes = 1
        sae.zero_grad(set_to_none=True)
        sae.W_enc.data = sae.W_enc.data.contiguous()
        return finish(sae, self.scale.to("cpu"), raw, self.config.refits, self.config.l0_target)

    def _moments(self, name: str) -> dict[str, Tensor]:
        """Adam's state of one parameter, with zeros before the first step."""
        weight = self.weights[name]
        if not self.optimiser.state[weight]:
            self.optimiser.state[weight] = {
                "step": torch.zeros((), device=weight.device),
                "exp_avg": torch.zeros_like(weight),
                "exp_avg_sq": torch.zeros_like(weight),
            }
        return self.optimiser.state[weight]


def require_finite(layers: list[LayerTraining], step: int) -> None:
    """TrainingError unless every loss so far was finite; asks the device once for all layers."""
    flags = torch.stack([layer.finite for layer in layers]).tolist()
    for layer, finite in zip(layers, flags, strict=True):
        if not finite:
            raise TrainingError(
                f"The loss of {layer.name} is not finite at step {step}",
                "finite activations",
                "Look for NaN in them, or lower lr.",
            )


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    """The gradient that a step wrote."""
    assert parameter.grad is not None
    return parameter.grad


def _rows(tensor: Tensor) -> Tensor:
    """The tensor, or its transpose where that is how it lies in memory."""
    return tensor if tensor.is_contiguous() else tensor.T

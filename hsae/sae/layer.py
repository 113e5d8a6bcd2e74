"""One layer's SAE in training: weights, optimiser, dead-latent tracker, and everything a resumed run needs of them."""

from __future__ import annotations

import torch
from torch import Tensor

from hsae.errors import TrainingError
from hsae.sae.bank import InputScale, layer_seed
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.dead import DeadTracker, auxk_loss, resample
from hsae.sae.model import SparseAutoencoder
from hsae.sae.outcome import Outcome
from hsae.sae.parallel import average_gradients, copy_from_first
from hsae.sae.steps import GradientStep


class LayerTraining:
    """Advances one SAE by batches of raw activations."""

    def __init__(
        self,
        name: str,
        sae: SparseAutoencoder,
        scale: InputScale,
        config: SAEConfig,
        train: TrainConfig,
        step: GradientStep,
        processes: int = 1,
    ) -> None:
        self.name, self.sae, self.scale, self.config, self.train = name, sae, scale, config, train
        self.gradient_step, self.processes = step, processes
        sae.W_enc.data = sae.W_enc.data.T.contiguous().T  # both weight matrices row by row of the latents
        self.optimiser = torch.optim.Adam(sae.parameters(), lr=train.lr, fused=True)
        self.tracker = DeadTracker(sae.d_sae, config.dead_after, sae.W_enc.device)

    def advance(self, raw: Tensor, rate: float, step: int) -> dict[str, Tensor]:
        """Step number `step` (0-based) at learning rate `rate` on `raw [batch, d_in]`.

        Returns loss, fvu, l0 and dead (a share). TrainingError when the loss is not finite; the weights stay.
        """
        x = self.scale.normalise(raw).to(self.sae.W_enc.device)
        outcome = self._gradients(x)
        if not torch.isfinite(outcome.loss):
            raise TrainingError(
                f"The loss of {self.name} is not finite at step {step}",
                "finite activations",
                "Look for NaN in them, or lower lr.",
            )
        torch.nn.utils.clip_grad_norm_(self.sae.parameters(), self.train.clip)
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.step()
        self.tracker.update(outcome.counts > 0, len(x) * self.processes)
        dead = self.tracker.dead
        if len(dead) and self._resamples(rate, step):
            self._resample(dead, x, outcome.error, step)
        self.sae.normalise_decoder()
        return {
            "loss": outcome.loss,
            "fvu": outcome.error.pow(2).sum() / x.pow(2).sum(),
            "l0": outcome.counts.sum() / len(x),
            "dead": torch.tensor(len(dead) / self.sae.d_sae),
        }

    def _resamples(self, rate: float, step: int) -> bool:
        """Only at the peak rate: a latent replaced near the end has no time to learn."""
        every = self.train.resample_every
        return every > 0 and (step + 1) % every == 0 and rate == self.train.lr

    def _resample(self, dead: Tensor, x: Tensor, error: Tensor, step: int) -> None:
        generator = torch.Generator().manual_seed(layer_seed(self.train.seed + step, self.name))
        resample(self.sae, self.optimiser, dead, x, error, generator)
        self.tracker.silent[dead] = 0
        if self.processes > 1:
            copy_from_first(self.sae.parameters(), x.device)

    def _gradients(self, x: Tensor) -> Outcome:
        outcome, dead = self.gradient_step(self.sae, x), self.tracker.dead
        if self.config.auxk and self.sae.activation in ("topk", "batchtopk") and len(dead):
            aux = self.config.auxk * auxk_loss(self.sae, x, -outcome.error, dead)
            aux.backward()
            outcome = outcome._replace(loss=outcome.loss + aux.detach())
        return average_gradients(self.sae, outcome) if self.processes > 1 else outcome

    def state(self) -> dict[str, Tensor]:
        """Every tensor that decides how training goes on, by name."""
        tensors = {f"sae.{name}": value for name, value in self.sae.state_dict().items()}
        for (name, _), state in zip(self.sae.named_parameters(), self._moments(), strict=True):
            tensors |= {f"{key}.{name}": value for key, value in state.items()}
        return tensors | {"silent": self.tracker.silent, "mean": self.scale.mean, "scale": self.scale.scale}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `state` gave."""
        for name, value in self.state().items():
            value.copy_(tensors[name])

    @torch.no_grad()
    def finished(self) -> SparseAutoencoder:
        """The SAE of the raw activations, on the CPU."""
        self.sae.zero_grad(set_to_none=True)
        sae = self.sae.cpu()
        sae.W_enc.data = sae.W_enc.data.contiguous()
        sae.fold_input(self.scale.mean, self.scale.scale)
        return sae

    def _moments(self) -> list[dict[str, Tensor]]:
        """Adam's state of each parameter, with zeros before the first step."""
        for parameter in self.sae.parameters():
            if not self.optimiser.state[parameter]:
                self.optimiser.state[parameter] = {
                    "step": torch.zeros((), device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        return [self.optimiser.state[parameter] for parameter in self.sae.parameters()]

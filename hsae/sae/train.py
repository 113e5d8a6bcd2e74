"""Train the SAEs of all layers in one pass over the shuffled store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import torch
from torch import Tensor, nn
from tqdm import tqdm

from hsae.activations.sampler import TokenSampler
from hsae.activations.store import ActivationStore
from hsae.errors import InputError, TrainingError
from hsae.sae.bank import InputScale, initialise, measure_scale, new_bank
from hsae.sae.config import SAEConfig
from hsae.sae.losses import reconstruction, sparsity
from hsae.sae.model import SparseAutoencoder

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast a bank is trained."""

    epochs: int = 20
    """Passes over the store."""
    batch_size: int = 1024
    """Tokens per step and process."""
    lr: float = 1e-3
    """Peak learning rate (Adam)."""
    warmup: float = 0.05
    """Share of the steps with rising learning rate."""
    decay: float = 0.3
    """Share of the steps, at the end, over which the learning rate falls to 0."""
    clip: float = 1.0
    """Largest gradient norm per layer."""
    seed: int = 0
    buffer_tokens: int = 65_536
    """Tokens shuffled together; memory is about buffer_tokens x 4 bytes x sum of the layers' widths."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.lr <= 0 or self.clip <= 0:
            raise InputError(f"training settings {asdict(self)}", "positive epochs, batch_size, lr and clip")
        if min(self.warmup, self.decay) < 0 or self.warmup + self.decay > 1:
            raise InputError(f"warmup {self.warmup} and decay {self.decay}", "shares with a sum of at most 1")


def train_bank(
    store: ActivationStore,
    sae: SAEConfig | None = None,
    train: TrainConfig | None = None,
    *,
    layers: Sequence[str] | Literal["all"] = "all",
    accelerator: Accelerator | None = None,
    progress: bool = True,
) -> dict[str, SparseAutoencoder]:
    """Train one SAE per layer on the same shuffled tokens, reading the store once per epoch.

    Returns SAEs of the raw activations (centring and scaling folded in, unit decoder rows), on the CPU.
    TrainingError when a loss is not finite; InputError for layers the store does not have.
    """
    sae, train = sae or SAEConfig(), train or TrainConfig()
    names = tuple(store.layers) if layers == "all" else tuple(layers)
    if not names or set(names) - set(store.layers):
        raise InputError(f"layers {names}", f"some of {', '.join(store.layers)}")
    device = accelerator.device if accelerator else torch.device("cpu")
    scales = {name: measure_scale(store, name) for name in names}
    seed = train.seed + (accelerator.process_index if accelerator else 0)
    sampler = TokenSampler(store, names, batch_size=train.batch_size, seed=seed, buffer_tokens=train.buffer_tokens)
    bank = _initialised(new_bank(store, names, sae), sampler, scales, train.seed).to(device)
    _train(bank, sampler, scales, sae, train, accelerator, progress)
    trained = {name: module.cpu() for name, module in bank.items()}
    for name, module in trained.items():
        module.fold_input(scales[name].mean, scales[name].scale)
    return {name: module.eval().requires_grad_(False) for name, module in trained.items()}


def learning_rate(step: int, steps: int, train: TrainConfig) -> float:
    """Factor in (0, 1] on the peak rate: linear warm-up, constant, linear decay to (almost) 0."""
    rising = (step + 1) / max(1.0, train.warmup * steps)
    falling = (steps - step) / max(1.0, train.decay * steps)
    return min(1.0, rising, falling)


def _initialised(bank: nn.ModuleDict, sampler: TokenSampler, scales: dict[str, InputScale], seed: int) -> nn.ModuleDict:
    first = next(sampler.epoch(0))
    for name, module in bank.items():
        generator = torch.Generator().manual_seed(seed * 1_000_003 + crc32(name.encode()))
        initialise(module, scales[name].normalise(first[name]), generator)
    return bank


def _train(
    bank: nn.ModuleDict,
    sampler: TokenSampler,
    scales: dict[str, InputScale],
    sae: SAEConfig,
    train: TrainConfig,
    accelerator: Accelerator | None,
    progress: bool,
) -> None:
    device = next(bank.parameters()).device
    steps = train.epochs * sampler.batches_per_epoch
    optimisers = {name: torch.optim.Adam(module.parameters(), lr=train.lr, fused=True) for name, module in bank.items()}
    model: Callable[[dict[str, Tensor]], dict[str, tuple[Tensor, Tensor]]] = _AllLayers(bank)
    model = accelerator.prepare(model) if accelerator else model
    step = 0
    with tqdm(total=steps, unit="step", desc="SAEs", disable=not progress) as bar:
        for epoch in range(train.epochs):
            for batch in sampler.epoch(epoch):
                x = {name: scales[name].normalise(value).to(device) for name, value in batch.items()}
                losses = {name: _loss(x[name], *out, sae) for name, out in model(x).items()}
                _check_finite(losses, step)
                total = torch.stack(list(losses.values())).sum()
                accelerator.backward(total) if accelerator else total.backward()
                for name, module in bank.items():
                    _step(module, optimisers[name], train.lr * learning_rate(step, steps, train), train.clip)
                step += 1
                bar.update()
                bar.set_postfix(loss=f"{total.item() / len(losses):.4f}", refresh=False)


class _AllLayers(nn.Module):
    """The bank as one module, so that one wrapper exchanges the gradients of all layers."""

    def __init__(self, bank: nn.ModuleDict) -> None:
        super().__init__()
        self.bank = bank

    def forward(self, x: dict[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        return {name: sae(x[name]) for name, sae in self.bank.items()}


def _loss(x: Tensor, x_hat: Tensor, z: Tensor, sae: SAEConfig) -> Tensor:
    penalty = sae.l1 * sparsity(x, x_hat, z) if sae.activation == "relu" else 0.0
    return reconstruction(x, x_hat, z) + penalty


def _check_finite(losses: dict[str, Tensor], step: int) -> None:
    bad = [name for name, loss in losses.items() if not torch.isfinite(loss)]
    if bad:
        raise TrainingError(
            f"The loss of {', '.join(bad)} is not finite at step {step}",
            "finite activations",
            "Look for NaN in the store, or lower lr.",
        )


def _step(module: nn.Module, optimiser: torch.optim.Optimizer, lr: float, clip: float) -> None:
    nn.utils.clip_grad_norm_(module.parameters(), clip)
    optimiser.param_groups[0]["lr"] = lr
    optimiser.step()
    optimiser.zero_grad()
    module.normalise_decoder()

"""Train the SAEs of all layers in one pass over shuffled activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from hsae.activations.online import OnlineActivations, OnlineSampler
from hsae.activations.pool import CPU, PoolSampler
from hsae.activations.sampler import TokenSampler
from hsae.activations.store import ActivationStore
from hsae.errors import InputError
from hsae.sae.bank import layer_seed, measure_scale, new_bank, scale_of
from hsae.sae.checkpoint import Checkpoint
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.feed import fed
from hsae.sae.layer import LayerTraining, TrainingRun, require_finite
from hsae.sae.model import SparseAutoencoder
from hsae.sae.parallel import copy_from_first, exchange_layers, merge_histories
from hsae.sae.start import initialise
from hsae.sae.steps import choose_step
from hsae.sae.summary import TrainingBar, log_point, measured_point, off_targets, write_summary

if TYPE_CHECKING:
    from accelerate import Accelerator

SCALE_TOKENS = 16_384
"""Online, mean and scale of a layer are those of so many tokens, if the pool has them; of a store, those of all."""


MANY_TOKENS = 65_536
"""Clusters to start from are found, thresholds set and decoders refitted on at most so many tokens of a layer."""


def train_bank(  # noqa: PLR0913 - public: users name what they set
    store: ActivationStore | OnlineActivations,
    sae: SAEConfig | None = None,
    train: TrainConfig | None = None,
    *,
    layers: Sequence[str] | Literal["all"] = "all",
    accelerator: Accelerator | None = None,
    progress: bool = True,
    checkpoint: Path | None = None,
) -> dict[str, SparseAutoencoder]:
    """Train one SAE per layer on the same shuffled tokens, reading the store once per epoch.

    Returns SAEs of the raw activations (centring and scaling folded in, unit decoder rows) on the CPU. In the place of
    a store, OnlineActivations run the backbone. With a folder `checkpoint`, an interrupted run goes on where it was and
    ends with the same weights, bit by bit on a CPU; the folder also gets summary.json and summary.png.
    An SAE whose L0 ends more than a tenth off its target is a warning in the log and in the summary.
    TrainingError when a loss is not finite or the checkpoint is of another run; InputError for unknown layers.
    """
    sae, train, names = sae or SAEConfig(), train or TrainConfig(), _chosen(store, layers)
    rank, of = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    settings = {"sae": asdict(sae), "train": asdict(train), "store": store.manifest.content, "layers": names}
    bank, history = new_bank(store, names, sae), []
    layer_parallel = of > 1 and train.parallel == "layer"
    trained = names[rank::of] if layer_parallel else names
    share = (0, 1) if layer_parallel else (rank, of)
    if trained:
        sampler = _sampler(store, trained, train, share)
        sampler.device = accelerator.device if accelerator else CPU
        run = TrainingRun(sae, train, share, train.epochs * sampler.batches_per_epoch)
        training = _prepare(bank, store, sampler, run)
        saved = Checkpoint(checkpoint, settings, rank, of, shared=share[1] > 1)
        history = _train(training, sampler, train, saved, accelerator, progress)
        for name, numbers in _finish(training, store, sampler, train, share).items():
            history[-1]["layers"][name] |= numbers
    if layer_parallel:
        exchange_layers(bank, names, accelerator)
        history = merge_histories(history)
    missed = off_targets(history, sae.target) if rank == 0 else {}
    if checkpoint and rank == 0:
        write_summary(Path(checkpoint), settings, history, missed)
    return {name: module.eval().requires_grad_(False) for name, module in bank.items()}


def _chosen(store: ActivationStore | OnlineActivations, layers: Sequence[str] | Literal["all"]) -> tuple[str, ...]:
    """The named layers; InputError for one that the store does not have."""
    names = tuple(store.layers) if layers == "all" else tuple(layers)
    if not names or set(names) - set(store.layers):
        raise InputError(f"layers {names}", f"some of {', '.join(store.layers)}")
    return names


def learning_rate(step: int, steps: int, train: TrainConfig) -> float:
    """Factor in (0, 1] on the peak rate: linear warm-up, constant, linear decay to (almost) 0."""
    rising = (step + 1) / max(1.0, train.warmup * steps)
    falling = (steps - step) / max(1.0, train.decay * steps)
    return min(1.0, rising, falling)


def _sampler(
    store: ActivationStore | OnlineActivations, layers: tuple[str, ...], train: TrainConfig, share: tuple[int, int]
) -> PoolSampler:
    size, seed, buffer = train.batch_size * share[1], train.seed, train.buffer_tokens
    if isinstance(store, ActivationStore):
        if store.part:
            share = store.part.place, store.part.readers
            size = train.batch_size * store.part.readers
        return TokenSampler(store, layers, batch_size=size, seed=seed, buffer_tokens=buffer, share=share)
    return OnlineSampler(store, layers, batch_size=size, seed=seed, buffer_tokens=buffer, share=share)


def _prepare(
    bank: dict[str, SparseAutoencoder],
    store: ActivationStore | OnlineActivations,
    sampler: PoolSampler,
    run: TrainingRun,
) -> list[LayerTraining]:
    """Initialised layers; those of equal width share the buffers of their step."""
    sae, train, device = run.sae, run.train, sampler.device
    widest = max(module.d_sae for module in bank.values())
    stored = store if isinstance(store, ActivationStore) else None
    first = sampler.first(widest if stored else max(widest, min(SCALE_TOKENS, train.buffer_tokens)))
    steps = {d_in: choose_step(sae, d_in, device, train.bf16) for d_in in sampler.widths.values()}
    layers = []
    for name, d_in in sampler.widths.items():
        whiten = sae.whitening
        scale = measure_scale(stored, name, whiten) if stored else scale_of([first[name]], name, whiten)
        generator = torch.Generator().manual_seed(layer_seed(train.seed, name))
        raw = _many(stored, name, train, run.share) if stored and bank[name].variant.clusters else first[name]
        initialise(bank[name], scale.normalise(raw), generator)
        module = bank[name].to(device).train()
        if run.share[1] > 1:
            copy_from_first([*module.parameters(), *module.buffers(), *scale.tensors().values()], device)
        layers.append(LayerTraining(name, module, scale, steps[d_in], run))
    return layers


def _many(store: ActivationStore, layer: str, train: TrainConfig, share: tuple[int, int]) -> Tensor:
    """Shuffled tokens of one layer `[n, d_in]`, the same for every process."""
    most = min(MANY_TOKENS, train.buffer_tokens)
    return _sampler(store, (layer,), train, share).first(most)[layer][:most]


def _finish(
    layers: list[LayerTraining],
    store: ActivationStore | OnlineActivations,
    sampler: PoolSampler,
    train: TrainConfig,
    share: tuple[int, int],
) -> dict[str, dict[str, float]]:
    """Make the SAEs those of raw activations; returns by layer what that changed, in numbers."""
    numbers = {}
    online: dict[str, Tensor] = {}  # one pass of the backbone for all layers
    if layers[0].config.finishes and not isinstance(store, ActivationStore):
        online = sampler.first(min(SCALE_TOKENS, train.buffer_tokens))
    for layer in layers:
        raw = online.get(layer.name, torch.empty(0, layer.sae.d_in))
        if layer.config.finishes and isinstance(store, ActivationStore):
            raw = _many(store, layer.name, train, share)
        numbers[layer.name] = layer.finished(raw)
        if layer.config.finishes and share[1] > 1:  # online or with parts, processes have tokens of their own
            copy_from_first([*layer.sae.parameters(), *layer.sae.buffers()], layer.scale.mean.device)
    return numbers


def _train(
    layers: list[LayerTraining],
    sampler: PoolSampler,
    train: TrainConfig,
    saved: Checkpoint,
    accelerator: Accelerator | None,
    progress: bool,
) -> list[dict[str, Any]]:
    """All steps that the checkpoint does not have yet; returns the measured points."""
    done = saved.load(layers)
    per_epoch = sampler.batches_per_epoch
    steps = train.epochs * per_epoch
    size = sampler.batch_size
    with TrainingBar(steps * size, done.step * size, progress) as bar:
        for epoch in range(done.step // per_epoch, train.epochs):
            batches = sampler.epoch(epoch, start=done.step - epoch * per_epoch)
            for batch in fed(batches, layers[0].device):
                rate = train.lr * learning_rate(done.step, steps, train)
                last = done.step + 1 == steps
                logs, saves = (last or (done.step + 1) % n == 0 for n in (train.log_every, train.checkpoint_every))
                measured = _step(layers, batch, rate, done.step, logs)
                if logs or saves:
                    require_finite(layers, done.step)
                done.step += 1
                bar.advance(size)
                if logs:
                    done.history.append(measured_point(done.step, measured))
                    log_point(accelerator, done.history[-1])
                    bar.show(done.history[-1]["layers"])
                if saves:
                    saved.save(layers, done)
    return done.history


def _step(
    layers: list[LayerTraining], batch: dict[str, Tensor], rate: float, step: int, measure: bool
) -> dict[str, dict[str, Tensor]]:
    """Advance every layer by its part of a batch; its numbers where they are asked for, and nothing of it is kept."""
    measured = {}
    for layer in layers:
        layer.advance(batch.pop(layer.name), rate, step)
        if measure:
            measured[layer.name] = layer.measured()
        layer.last = None
    return measured

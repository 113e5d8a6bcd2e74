"""Train the SAEs of all layers in one pass over shuffled activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from tqdm import tqdm

from hsae.activations.sampler import TokenSampler
from hsae.activations.store import ActivationStore
from hsae.errors import InputError
from hsae.sae.bank import initialise, layer_seed, measure_scale, new_bank
from hsae.sae.checkpoint import Checkpoint, Progress
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.layer import LayerTraining
from hsae.sae.model import SparseAutoencoder
from hsae.sae.parallel import exchange_layers, own_layers
from hsae.sae.steps import choose_step
from hsae.sae.summary import live_numbers, log_point, measured_point, write_summary

if TYPE_CHECKING:
    from accelerate import Accelerator


def train_bank(
    store: ActivationStore,
    sae: SAEConfig | None = None,
    train: TrainConfig | None = None,
    *,
    layers: Sequence[str] | Literal["all"] = "all",
    accelerator: Accelerator | None = None,
    progress: bool = True,
    checkpoint: Path | None = None,
) -> dict[str, SparseAutoencoder]:
    """Train one SAE per layer on the same shuffled tokens, reading the store once per epoch.

    Returns SAEs of the raw activations (centring and scaling folded in, unit decoder rows), on the CPU. With a folder
    `checkpoint`, an interrupted run goes on where it was and ends with the same weights, bit by bit on a CPU; the
    folder also gets summary.json and summary.png.
    TrainingError when a loss is not finite or the checkpoint is of another run; InputError for unknown layers.
    """
    sae, train = sae or SAEConfig(), train or TrainConfig()
    names = tuple(store.layers) if layers == "all" else tuple(layers)
    if not names or set(names) - set(store.layers):
        raise InputError(f"layers {names}", f"some of {', '.join(store.layers)}")
    rank, of = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    settings = {"sae": asdict(sae), "train": asdict(train), "store": asdict(store.manifest), "layers": names}
    bank = dict(new_bank(store, names, sae).items())
    own = own_layers(names, accelerator, train.parallel)
    if own:
        data_parallel = of > 1 and train.parallel == "data"
        sampler = TokenSampler(
            store,
            own,
            batch_size=train.batch_size * (of if data_parallel else 1),
            seed=train.seed,
            buffer_tokens=train.buffer_tokens,
            share=(rank, of) if data_parallel else (0, 1),
        )
        device = accelerator.device if accelerator else torch.device("cpu")
        training = _prepare(bank, own, store, sampler, sae, train, device, of if data_parallel else 1)
        saved = Checkpoint(checkpoint, settings, rank, of)
        done = _train(training, sampler, train, saved, accelerator, progress)
        if checkpoint and (rank == 0 or train.parallel == "layer"):
            write_summary(Path(checkpoint), settings, done.history)
        for layer in training:
            bank[layer.name] = layer.finished()
    if of > 1 and train.parallel == "layer":
        bank = exchange_layers(bank, names, accelerator)
    return {name: module.eval().requires_grad_(False) for name, module in bank.items()}


def learning_rate(step: int, steps: int, train: TrainConfig) -> float:
    """Factor in (0, 1] on the peak rate: linear warm-up, constant, linear decay to (almost) 0."""
    rising = (step + 1) / max(1.0, train.warmup * steps)
    falling = (steps - step) / max(1.0, train.decay * steps)
    return min(1.0, rising, falling)


def _prepare(
    bank: dict[str, SparseAutoencoder],
    own: tuple[str, ...],
    store: ActivationStore,
    sampler: TokenSampler,
    sae: SAEConfig,
    train: TrainConfig,
    device: torch.device,
    processes: int,
) -> list[LayerTraining]:
    """Initialised layers; those of equal width share the buffers of their step."""
    first = sampler.first(max(module.d_sae for module in bank.values()))
    steps = {d_in: choose_step(sae, d_in, sae.width(d_in), device, train.bf16) for d_in in store.layers.values()}
    layers = []
    for name in own:
        scale, module = measure_scale(store, name), bank[name]
        generator = torch.Generator().manual_seed(layer_seed(train.seed, name))
        initialise(module, scale.normalise(first[name]), generator)
        step = steps[module.d_in]
        layers.append(LayerTraining(name, module.to(device).train(), scale, sae, train, step, processes))
    return layers


def _train(
    layers: list[LayerTraining],
    sampler: TokenSampler,
    train: TrainConfig,
    saved: Checkpoint,
    accelerator: Accelerator | None,
    progress: bool,
) -> Progress:
    """All steps that the checkpoint does not have yet."""
    done = saved.load(layers)
    per_epoch = sampler.batches_per_epoch
    steps = train.epochs * per_epoch
    with tqdm(
        total=steps * sampler.batch_size,
        initial=done.step * sampler.batch_size,
        unit="vector",
        unit_scale=True,
        desc="SAEs",
        disable=not progress,
    ) as bar:
        for epoch in range(done.step // per_epoch, train.epochs):
            for batch in sampler.epoch(epoch, start=done.step - epoch * per_epoch):
                rate = train.lr * learning_rate(done.step, steps, train)
                measured = {layer.name: layer.advance(batch[layer.name], rate, done.step) for layer in layers}
                done.step += 1
                bar.update(sampler.batch_size)
                last = done.step == steps
                if done.step % train.log_every == 0 or last:
                    done.history.append(measured_point(done.step, measured))
                    log_point(accelerator, done.history[-1])
                    bar.set_postfix_str(live_numbers(measured), refresh=False)
                if done.step % train.checkpoint_every == 0 or last:
                    saved.save(layers, done)
    return done

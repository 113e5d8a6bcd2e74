"""Run a grid: every contestant that is not there yet is made, measured and saved at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tqdm import tqdm

from hsae.bench.baselines import BASELINES
from hsae.bench.contestant import Contestant, of_sae
from hsae.bench.grid import Entry, Grid
from hsae.bench.images import BenchImages, BenchLayer
from hsae.bench.measure import Measurer
from hsae.bench.rows import Row, Rows
from hsae.sae.train import train_bank


class LayerBench:
    """The contestants of one layer, of which only those without a row are made and measured."""

    def __init__(self, images: BenchImages, layer: str, rows: Rows) -> None:
        self.images, self.layer, self.rows = images, layer, rows

    def row(
        self, entry: Entry, make: Callable[[BenchLayer], Contestant], training: dict[str, Any] | None = None
    ) -> tuple[Row, bool]:
        """The row of a contestant, and whether it is new; training: the settings that an SAE is trained with."""
        key = self.rows.key(entry, training)
        if (row := self.rows.load(key)) is not None:
            return row, False
        contestant = make(self._measurer.layer)
        decoder = contestant.sae.W_dec.detach().numpy() if contestant.sae else None
        return self.rows.save(key, entry, self._measurer.measure(contestant), decoder), True

    @cached_property
    def _measurer(self) -> Measurer:
        return Measurer(BenchLayer(self.images, self.layer))


def run_grid(
    images: BenchImages, grid: Grid, layers: Iterable[str], folder: Path, done: Callable[[list[Row]], object] = len
) -> list[Row]:
    """All rows of the grid on some layers, in its order; `done` sees those there are after each new one."""
    rows = Rows(folder, images.content)
    entries = [(layer, list(grid.entries(layer))) for layer in layers]
    found: list[Row] = []
    with tqdm(total=sum(len(part) for _, part in entries), desc="bench", unit="row") as bar:
        for name, part in entries:
            bench = LayerBench(images, name, rows)
            for entry in part:
                bar.set_postfix_str(f"{name} {entry.name} {entry.n or ''} {entry.l0 or ''}")
                training = asdict(grid.train(entry)) if entry.sae else None
                row, new = bench.row(entry, partial(make, entry=entry, grid=grid), training)
                found.append(row)
                if new:
                    done(list(found))
                bar.update()
    return found


def make(layer: BenchLayer, entry: Entry, grid: Grid) -> Contestant:
    """Train an SAE, on a GPU where there is one, or make a baseline."""
    if entry.sae is None:
        return BASELINES[entry.name].make(layer, entry.n, entry.seed)
    accelerator = Accelerator() if torch.cuda.is_available() else None
    store, train = layer.images.train, grid.train(entry)
    bank = train_bank(store, entry.sae, train, layers=[layer.name], accelerator=accelerator, progress=False)
    return of_sae(bank[layer.name])

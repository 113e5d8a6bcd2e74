"""Run a grid: every contestant that is not there yet is made, measured and saved at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from hsae.bench.baselines import BASELINES
from hsae.bench.contestant import Contestant, of_sae
from hsae.bench.grid import Entry, Grid
from hsae.bench.images import BenchImages, BenchLayer
from hsae.bench.measure import Measurer
from hsae.bench.rows import Row, Rows
from hsae.sae.train import train_bank


def run_grid(
    images: BenchImages, grid: Grid, layers: Iterable[str], folder: Path, done: Callable[[list[Row]], object] = len
) -> list[Row]:
    """All rows of the grid on some layers, in its order; `done` sees those there are after each new one."""
    rows = Rows(folder, images.content)
    entries = [(layer, list(grid.entries(layer))) for layer in layers]
    found: list[Row] = []
    with tqdm(total=sum(len(part) for _, part in entries), desc="bench", unit="row") as bar:
        for name, part in entries:
            measurer: Measurer | None = None
            for entry in part:
                bar.set_postfix_str(f"{name} {entry.name} {entry.n or ''} {entry.l0 or ''}")
                training = asdict(grid.train(entry)) if entry.sae else None
                key = rows.key(entry, training)
                row = rows.load(key)
                if row is None:
                    measurer = measurer or Measurer(BenchLayer(images, name))
                    contestant = make(measurer.layer, entry, grid)
                    decoder = contestant.sae.W_dec.numpy() if contestant.sae else None
                    row = rows.save(key, entry, measurer.measure(contestant), decoder)
                    done([*found, row])
                found.append(row)
                bar.update()
    return found


def make(layer: BenchLayer, entry: Entry, grid: Grid) -> Contestant:
    """Train an SAE, or make a baseline."""
    if entry.sae is None:
        return BASELINES[entry.name].make(layer, entry.n, entry.seed)
    bank = train_bank(layer.images.train, entry.sae, grid.train(entry), layers=[layer.name], progress=False)
    return of_sae(bank[layer.name])

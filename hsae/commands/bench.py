"""Compare SAE variants and baselines on the stored activations of a run, by the WordNet nodes that they know.

Every variant of the grid is trained on RUN/activations/train, latents for nodes are chosen on choice, and all numbers
are those of heldout. What is finished is kept in RUN/bench, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from hsae.artifacts.documents.scoreboard import write_scoreboard
from hsae.artifacts.extras import add_document
from hsae.atomic import write_text
from hsae.bench.grid import FULL, QUICK, read_grid
from hsae.bench.images import open_images, open_random
from hsae.bench.plots import layers_figure, tradeoff_figure
from hsae.bench.rows import Row, Rows
from hsae.bench.suite import run_grid
from hsae.bench.table import markdown, table
from hsae.errors import InputError
from hsae.report.figure_files import write_figure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("run", type=Path, help="folder of a run, trained with --choice_share")
    parser.add_argument("--layers", required=True, help="names with commas between")
    parser.add_argument(
        "--grid", type=Path, help="YAML file (hsae.bench.grid; default: the whole suite, which is long)"
    )
    parser.add_argument("--quick", action="store_true", help="a small grid, about ten minutes a layer")
    parser.add_argument("--parts", default="", help="parts of the held-out rows, in order: tiny:5000,sharp:1220")
    parser.add_argument("--random_backbone", type=Path, metavar="RUN", help="the same images by random weights")
    parser.add_argument("--add", type=Path, metavar="ARTIFACT", help="write the table into an artifact too")
    parser.add_argument("--out", type=Path, help="folder of rows, table and plots (default: RUN/bench)")


def run(options: argparse.Namespace) -> None:
    """Run the grid, write table and plots, and print the table."""
    if options.quick and options.grid:
        raise InputError("--quick with --grid", "one of them")
    grid = read_grid(options.grid) if options.grid else QUICK if options.quick else FULL
    parts, out = read_parts(options.parts), options.out or options.run / "bench"
    images = open_images(options.run, parts)
    layers = [name.strip() for name in options.layers.split(",")]
    unknown = set(layers) - set(images.train.layers)
    if unknown:
        raise InputError(f"layers {', '.join(sorted(unknown))}", f"some of {', '.join(images.train.layers)}")
    random = open_random(options.random_backbone, images, parts) if options.random_backbone else None

    def write(rows: Sequence[Row]) -> None:
        _write_table(out, table(rows), parts)

    rows = run_grid(images, grid, layers, out, write)
    if random:
        rows += run_grid(random, grid.elsewhere("random backbone"), layers, out, lambda more: write([*rows, *more]))
    frame = table(rows, Rows(out, images.content))
    print(_write_table(out, frame, parts))
    for name, draw in {"tradeoff": tradeoff_figure, "layers": layers_figure}.items() if "R" in frame else ():
        print(write_figure(out, name, *draw(frame)))
    if options.add:
        print(add_document(options.add, "scoreboard", write_scoreboard(frame, images.content)))


def _write_table(out: Path, frame: pd.DataFrame, parts: Mapping[str, int]) -> str:
    """Write table.csv and table.md; returns the latter."""
    text = markdown(frame, list(parts))
    write_text(out / "table.csv", frame.to_csv(index=False))
    write_text(out / "table.md", text)
    return text


def read_parts(text: str) -> dict[str, int]:
    """Rows by name; InputError unless they are counts."""
    pairs = [item.partition(":") for item in text.split(",") if item.strip()]
    if any(not name.strip() or not size.strip().isdigit() for name, _, size in pairs):
        raise InputError(f"parts {text!r}", "NAME:ROWS with commas between")
    return {name.strip(): int(size) for name, _, size in pairs}

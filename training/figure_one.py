"""Figure 1 of Olson et al. (arXiv 2505.15970) on a run's stored activations, beside our SAEs at equal L0.

    python training/figure_one.py runs/olson_small [--layers block_01,...] [--l1 0.02] [--l1_raw 0.001]

A ReLU SAE with *one* L1 weight for all layers, as the paper has it: then L0 and reconstruction change with depth, and
with the unit. Its loss is ||x_hat - x||^2 / d_in + l1 sum |z|, once with x as it is (`raw`, in which late layers are
thousands of times as loud as the first) and once with x divided by its standard deviation (`normalised`). Beside it an
SAE of ours with, layer by layer, the L0 of the normalised one, so that the two reconstructions compare.
Writes figure_one.png and figure_one.csv to RUN/figures, all measured on the held-out images.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from matplotlib.figure import Figure

from hsae.activations.store import ActivationStore
from hsae.exit_status import exit_status
from hsae.measures.reconstruction import Reconstruction, reconstruction
from hsae.report.figure_files import panels, write_figure
from hsae.sae.bank import measure_scale
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.train import train_bank
from hsae.sae.variants import VARIANTS

KINDS = {
    "raw": "ReLU, one L1 weight, raw units",
    "normalised": "ReLU, one L1 weight, normalised units",
    "ours": "ours at the L0 of the normalised one",
}
PANELS = {
    "l0": "active latents per token",
    "mse": "squared error per dimension, raw units",
    "fvu": "the same / variance",
}


def main(arguments: list[str]) -> int:
    """Train, measure and draw; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run whose activations are stored")
    parser.add_argument("--layers", help="names separated by commas (default: all)")
    parser.add_argument("--l1", type=float, default=0.02, help="weight in normalised units")
    parser.add_argument("--l1_raw", type=float, default=0.001, help="weight in raw units")
    parser.add_argument("--ours", choices=[name for name, row in VARIANTS.items() if row.uses_k], default="topk")
    parser.add_argument("--d_sae", type=int, default=1536)
    parser.add_argument("--epochs", type=int, default=TrainConfig.epochs)
    parser.add_argument("--batch_size", type=int, default=TrainConfig.batch_size)
    return exit_status(lambda: figure_one(parser.parse_args(arguments)))


def figure_one(options: argparse.Namespace) -> None:
    """Write the figure and its table, a layer at a time."""
    train, heldout = (ActivationStore(options.run / "activations" / name) for name in ("train", "heldout"))
    layers = options.layers.split(",") if options.layers else list(train.layers)
    rows = []
    for layer in layers:
        for kind, numbers in compare(train, heldout, layer, options).items():
            rows.append({"layer": layer, "kind": kind} | asdict(numbers))
            print(f"{layer} {kind}: L0 {numbers.l0:.1f}, mse {numbers.mse:.3g}, FVU {numbers.fvu:.3f}", flush=True)
    table = pd.DataFrame(rows).set_index(["layer", "kind"])
    print(write_figure(options.run / "figures", "figure_one", draw(table), table))


def compare(
    train: ActivationStore, heldout: ActivationStore, layer: str, options: argparse.Namespace
) -> dict[str, Reconstruction]:
    """The three SAEs of one layer, by kind."""
    loudness = float(measure_scale(train, layer).scale)
    weights = {"raw": options.l1_raw / loudness, "normalised": options.l1}  # z is in units of x, and so is sum |z|
    plan = TrainConfig(epochs=options.epochs, batch_size=options.batch_size, checkpoint_every=10**9)

    def measured(config: SAEConfig) -> Reconstruction:
        sae: SparseAutoencoder = train_bank(train, config, plan, layers=[layer], progress=False)[layer]
        return reconstruction(sae, heldout.layer(layer).flatten(0, 1), train.layer(layer).mean((0, 1)))

    numbers = {
        kind: measured(SAEConfig("relu", d_sae=options.d_sae, l1=weight, auxk=0, refit="none"))
        for kind, weight in weights.items()
    }
    k = min(options.d_sae, max(1, round(numbers["normalised"].l0)))
    return numbers | {"ours": measured(SAEConfig(options.ours, d_sae=options.d_sae, k=k))}


def draw(table: pd.DataFrame) -> Figure:
    """L0 and reconstruction by layer, a line for every kind; the variance beside the error."""
    figure, axes = panels(1, len(PANELS))
    layers = list(dict.fromkeys(table.index.get_level_values("layer")))
    for axis, (column, title) in zip(axes, PANELS.items(), strict=True):
        for kind, label in KINDS.items():
            axis.plot(layers, table.xs(kind, level="kind")[column].to_numpy(), marker="o", markersize=3, label=label)
        axis.set(title=title, xlabel="layer")
        axis.set_xticks(range(len(layers)), [layer.removeprefix("block_") for layer in layers], fontsize=7)
    variance = table.xs("raw", level="kind")["var"].to_numpy()
    axes[1].plot(layers, variance, color="grey", linestyle=":", label="variance (always the mean)")
    axes[1].set_yscale("log")
    axes[1].legend(fontsize=7)
    axes[0].legend(fontsize=7)
    return figure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Which SAE variant suits a layer best: every one trained on a run's stored activations, near one L0, and measured.

    python training/variants.py runs/starter --layers block_06,block_11 --d_sae 1536 --k 64 [--epochs 10]

Prints per layer and variant, on the held-out images: FVU, L0, dead share; latents with two or more classes (tau 0.5),
how many of these beat label permutation (q < 0.05), their mean coverage and what shuffled synsets give, the mean log2
of coverage over its expectation under shuffling; best-node F1; median monosemanticity in the backbone's own embeddings.
The weight of an L1 penalty is moved during training until the L0 is k on the training images; held out, it may
differ, and the FVU of such rows does not compare.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import Tensor

from hsae.activations.store import ActivationStore
from hsae.errors import HsaeError
from hsae.hierarchy import Taxonomy
from hsae.measures.monosemanticity import monosemanticity
from hsae.measures.plain import mean, median
from hsae.measures.reconstruction import reconstruction
from hsae.measures.sparse_latents import image_latents, sparse_latents
from hsae.report.hierarchy import LabelledLatents, best_nodes, layer_summary
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.train import train_bank
from hsae.sae.variants import VARIANTS, Activation

MATRYOSHKA: tuple[Activation, ...] = ("topk", "batchtopk")
COLUMNS = {
    "fvu": "{:.3f}", "l0": "{:.1f}", "dead": "{:.1%}", "n_multi_class": "{:.0f}", "n_significant": "{:.0f}",
    "mean_coverage": "{:.3f}", "null_mean_coverage": "{:.3f}", "mean_log2_coverage": "{:.2f}", "best_node_f1": "{:.2f}",
    "monosemanticity": "{:.3f}",
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print a Markdown table per layer; errors a user can cause are one sentence and exit status 1."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--layers", required=True, help="names separated by commas")
    parser.add_argument("--d_sae", type=int, default=1536)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--prefixes", type=int, default=4, help="of the Matryoshka variants")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch_size", type=int, default=512)
    options = parser.parse_args(arguments)
    train = TrainConfig(epochs=options.epochs, batch_size=options.batch_size, checkpoint_every=10**9)
    try:
        stores = {name: ActivationStore(options.run / "activations" / name) for name in ("train", "heldout")}
        for layer in options.layers.split(","):
            print(f"\n{layer}\n| variant | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}", flush=True)
            for name, config in configs(options.d_sae, options.k, options.prefixes):
                sae = trained(stores["train"], layer, config, train)
                numbers = measured(sae, stores["heldout"], layer, stores["train"].layer(layer).mean((0, 1)))
                cells = [
                    form.format(numbers[key]) if numbers.get(key) is not None else "-" for key, form in COLUMNS.items()
                ]
                print(f"| {name} | {' | '.join(cells)} |", flush=True)
    except HsaeError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def configs(d_sae: int, k: int, prefixes: int) -> Iterator[tuple[str, SAEConfig]]:
    """Every variant by name."""
    for activation in VARIANTS:
        yield activation, SAEConfig(activation, d_sae=d_sae, k=k)
    for activation in MATRYOSHKA:
        yield f"{activation}, {prefixes} prefixes", SAEConfig(activation, d_sae=d_sae, k=k, prefixes=prefixes)


def trained(store: ActivationStore, layer: str, config: SAEConfig, train: TrainConfig) -> SparseAutoencoder:
    """An SAE of one layer; where a penalty decides the L0, its weight is moved until k latents per token are active."""
    if not VARIANTS[config.activation].uses_k:
        config = replace(config, l0_target=float(config.k))
    return train_bank(store, config, train, layers=[layer], progress=False)[layer]


@torch.no_grad()
def l0(sae: SparseAutoencoder, x: Tensor) -> float:
    """Mean number of active latents of activations `[n, d_in]`."""
    return float((sae.encode(x) > 0).sum(-1).float().mean())


def measured(
    sae: SparseAutoencoder, heldout: ActivationStore, layer: str, centre: Tensor
) -> dict[str, float | int | None]:
    """The numbers of COLUMNS. centre: mean of the training activations `[d_in]`, which FVU is measured against."""
    x, labels = heldout.layer(layer), heldout.labels.numpy()
    z = image_latents(sparse_latents(sae, x.flatten(0, 1)), x.shape[1])
    known = LabelledLatents(z[labels >= 0], labels[labels >= 0], Taxonomy(heldout.classes))
    quality = reconstruction(sae, x.flatten(0, 1), centre)
    f1 = best_nodes(known)[1]
    last = heldout.layer(list(heldout.layers)[-1]).mean(1)
    return {
        **layer_summary(known),
        "fvu": quality.fvu,
        "l0": quality.l0,
        "dead": quality.dead,
        "best_node_f1": mean(f1[~np.isnan(f1)]),
        "monosemanticity": median(monosemanticity(z, last).score),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

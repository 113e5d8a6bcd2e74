"""An artifact of the paper's own size: how long one layer takes to load, and the memory of a reader of several.

    python training/benchmarks/large_artifact.py FOLDER [--layers 40] [--visited 5]

FOLDER is made first unless it is there (75 MB a layer): random weights of 12 288 latents x 1 536, with the tables and
cards of the packaged artifact over and over.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pandas as pd
import torch

from hsae.artifacts.artifact import Artifact
from hsae.measures.probes import LinearProbe
from hsae.sae.model import SparseAutoencoder
from training.memory import forget_peak, resident

D_IN, D_SAE, K = 1536, 12_288, 32
Value = TypeVar("Value")


class Repeated(Mapping[str, Value]):
    """A value by layer, made whenever it is asked for."""

    def __init__(self, layers: list[str], make: Any) -> None:
        self.layers, self.make = layers, make

    def __getitem__(self, layer: str) -> Value:
        return self.make(layer)

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)


def main() -> None:
    """Make the artifact if need be, and print a line for every layer that is visited."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--visited", type=int, default=5)
    options = parser.parse_args()
    if not options.folder.exists():
        make(options.layers).save(options.folder)
        print("made; run it again to measure in a fresh process")
        return
    visit(options.folder, options.visited)


def visit(folder: Path, n: int) -> None:
    """Load everything that a page shows of some layers, one after the other."""
    forget_peak()
    print(f"{'before':28}{'':26}{resident(peak=False) / 2**20:8.0f} MiB")
    began, busy = time.perf_counter(), time.process_time()
    artifact = Artifact.load(folder)
    for part in (artifact.curves, artifact.tree, *map(artifact.document, artifact.documents)):
        assert part is not None
    said("curves, tree, documents", began, busy)
    step = max(1, len(artifact.layers) // n)
    for layer in artifact.layers[::step][:n]:
        for name in ("sae", "latents", "top_images", "probe"):
            began, busy = time.perf_counter(), time.process_time()
            getattr(artifact, name)(layer)
            said(f"{layer} {name}", began, busy)


def said(what: str, began: float, busy: float) -> None:
    """Time since then, and memory now."""
    spent = time.perf_counter() - began, time.process_time() - busy
    print(f"{what:28}{spent[0]:10.2f} s{spent[1]:10.2f} CPU s{resident(peak=False) / 2**20:8.0f} MiB", flush=True)


def make(n_layers: int) -> Artifact:
    """Random weights, and as many rows of the packaged artifact's tables as there are latents."""
    small = Artifact.load("starter")
    layers = [f"block_{number + 1:02d}" for number in range(n_layers)]
    like = dict(zip(layers, cycle(small.layers), strict=False))
    profiles = small.document("profiles") or {}
    per_latent = {key: part for key, part in profiles.items() if isinstance(part, dict)}
    return Artifact.from_parts(
        backbone=small.backbone | {"id": "facebook/dinov2-giant@random"},
        dataset=small.dataset,
        taxonomy=small.taxonomy_rule,
        saes=Repeated(layers, random_sae),
        latents={name: repeated_rows(small.latents(of)) for name, of in like.items()},
        top_images={name: repeat(small.top_images(of)) for name, of in like.items()},
        probes=Repeated(layers, lambda _: random_probe(len(small.classes))),
        curves={name: small.curves[of] for name, of in like.items()},
        tree=small.tree,
        extras={
            "profiles": profiles
            | {key: {name: repeat(part[of]) for name, of in like.items()} for key, part in per_latent.items()}
        },
    )


@cache
def _rows() -> torch.Tensor:
    rows = torch.randn(D_SAE, D_IN, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.normalize(rows, dim=-1)


def random_sae(layer: str) -> SparseAutoencoder:
    """Random unit decoder rows, in every layer in another order, and the encoder their transpose."""
    sae = SparseAutoencoder(D_IN, D_SAE, "topk", k=K)
    sae.W_dec.data.copy_(_rows().roll(int(layer.removeprefix("block_")), 0))
    sae.W_enc.data.copy_(sae.W_dec.data.T)
    return sae.eval().requires_grad_(False)


def random_probe(n_classes: int) -> LinearProbe:
    """A probe that says nothing."""
    return LinearProbe(torch.randn(D_IN, n_classes), torch.zeros(n_classes), torch.zeros(D_IN), torch.ones(D_IN))


def repeat(values: list[Any]) -> list[Any]:
    """As many as there are latents."""
    return list(islice(cycle(values), D_SAE))


def repeated_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The same of a table."""
    return table.iloc[[row % len(table) for row in range(D_SAE)]].reset_index(drop=True)


if __name__ == "__main__":
    main()

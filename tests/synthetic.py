"""Data with a known answer: a planted dictionary, small activation stores without a backbone, small photographs."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hsae.activations.store import ActivationStore, Manifest, shard_path, write_manifest, write_shard


def write_store(
    folder: Path, layers: dict[str, Tensor], *, shard_rows: int = 64, labels: Tensor | None = None
) -> ActivationStore:
    """A store of the given activations `{layer: [images, tokens, d_in]}`."""
    n_rows = len(next(iter(layers.values())))
    labels = torch.full((n_rows,), -1) if labels is None else labels
    write_manifest(
        folder,
        Manifest(
            backbone={"id": "synthetic", "revision": None, "weights_sha256": "0" * 64, "image_size": 8},
            token="cls",
            layers={name: x.shape[-1] for name, x in layers.items()},
            dataset={"id": "synthetic", "fingerprint": "0", "n_rows": n_rows, "classes": []},
            shard_rows=shard_rows,
            dtype="float32",
        ),
    )
    for number, start in enumerate(range(0, n_rows, shard_rows)):
        rows = torch.arange(start, min(start + shard_rows, n_rows))
        write_shard(
            shard_path(folder, number), {n: x[rows].contiguous() for n, x in layers.items()}, rows, labels[rows]
        )
    return ActivationStore(folder)


def planted(
    n: int, d_in: int, n_atoms: int, active: int, *, noise: float = 0.05, zipf: float = 1.0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Sparse sums of unit atoms: x `[n, d_in]` and atoms `[n_atoms, d_in]`, the most frequent atom first.

    Every x is a sum of `active` different atoms, drawn with Zipf frequencies (rank^-zipf), with amounts in 0.5 .. 1.5,
    plus Gaussian noise.
    """
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(n_atoms, d_in, generator=generator), dim=-1)
    weights = torch.arange(1, n_atoms + 1).float().pow(-zipf)
    x = noise * torch.randn(n, d_in, generator=generator)
    for rows in torch.arange(n).split(4096):
        chosen = torch.multinomial(weights.expand(len(rows), -1), active, generator=generator)
        amounts = 0.5 + torch.rand(chosen.shape, generator=generator)
        x[rows] += torch.nn.functional.embedding_bag(chosen, atoms, per_sample_weights=amounts, mode="sum")
    return x, atoms


def recovery(atoms: Tensor, rows: Tensor) -> Tensor:
    """For each atom, the cosine of the nearest of `rows`: `[n_atoms]`."""
    unit = torch.nn.functional.normalize(rows, dim=-1)
    return (atoms @ unit.T).max(dim=-1).values


def small_photographs(table: Path, folder: Path) -> Path:
    """A table of the keys and classes of another; its images are 32 x 32 pixels of noise around a colour per class."""
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    wnids = sorted({row["wnid"] for row in rows})
    random = np.random.default_rng(0)
    colours = random.integers(60, 200, (len(wnids), 3))
    for number, row in enumerate(rows):
        pixels = colours[wnids.index(row["wnid"])] + random.integers(-60, 55, (32, 32, 3))
        row["file"] = f"{number}.png"
        Image.fromarray(pixels.astype(np.uint8)).save(folder / row["file"])
    with (folder / table.name).open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / table.name

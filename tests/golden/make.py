"""Make the golden artifact of the current schema: `python -m tests.golden.make tests/golden/schema_2`.

Never make an old schema's folder again: it stands for the artifacts that are out there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hsae.artifacts.artifact import Artifact
from hsae.measures.probes import LinearProbe
from hsae.sae.model import SparseAutoencoder

D_IN, D_SAE, LAYERS = 8, 16, {"block_01": ("topk", 4), "block_02": ("relu", 1)}
CLASSES = ["n02085620", "n02123045", "n02124075", "n04285008"]  # chihuahua, tabby, Egyptian cat, sports car

NAMES = {"rule": {"min_precision": 0.25}, "n_images": {"choice": 60, "confirm": 20, "test": 20}}


def ramp(*shape: int, shift: int = 0) -> torch.Tensor:
    """Multiples of 1/8 in [-1, 1]: exact in float16, the same on every machine."""
    return ((torch.arange(torch.Size(shape).numel()) * 7 + shift) % 17 - 8).reshape(shape) / 8


def make_sae(activation: Any, k: int, shift: int) -> SparseAutoencoder:
    """An SAE whose decoder rows are signed unit vectors: row j is +e_j for j < 8, -e_(j-8) after."""
    sae = SparseAutoencoder(D_IN, D_SAE, activation, k)
    weights = (ramp(D_IN, D_SAE, shift=shift), ramp(D_SAE, shift=3), torch.eye(D_IN), ramp(D_IN, shift=5))
    sae.W_enc.data, sae.b_enc.data, sae.b_dec.data = weights[0], weights[1], weights[3]
    sae.W_dec.data = torch.cat([weights[2], -weights[2]])
    return sae.eval().requires_grad_(False)


def make_latents() -> pd.DataFrame:
    """Latent 0 is dead, latent 1 belongs to the cats, the others have no class; some columns are left out."""
    steps = np.arange(D_SAE)
    return pd.DataFrame(
        {
            "frequency": steps / 32,
            "mean": steps / 4,
            "max": steps / 2,
            "p999": steps / 2,
            "dead": steps == 0,
            "neuron": steps % D_IN,
            "n_classes": np.where(steps == 1, 2, 0),
            "lch": np.where(steps == 1, "n02121808", None),
            "lch_height": np.where(steps == 1, 1.0, np.nan),
            "coverage": np.where(steps == 1, 1.0, np.nan),
            "label": ["silent", "domestic cat", *["unassigned"] * (D_SAE - 2)],
        }
    )


def make_nodes() -> pd.DataFrame:
    """Latent 1 is named after the cats, latent 2 is refused, the others tell no node."""
    steps = np.arange(D_SAE)
    told = (steps == 1) | (steps == 2)
    numbers = {"node_ap_gain": 0.5, "node_mcc": 0.5, "node_precision": 0.75, "node_recall": 0.25, "node_lift": 3.0}
    numbers |= {"node_threshold": -1.5, "node_p": 0.125, "node_q": 0.25, "node_worth": 1.5}
    columns = {name: np.where(told, value, np.nan) for name, value in numbers.items()}
    return pd.DataFrame({"node": np.where(told, "n02121808", None), "named": (steps == 1).astype(int), **columns})


def make_probe() -> LinearProbe:
    """W and b are ramps, mean 0.5, std 2, temperature 1.25."""
    n = len(CLASSES)
    return LinearProbe(ramp(D_IN, n), ramp(n), torch.full((D_IN,), 0.5), torch.full((D_IN,), 2.0), 1.25)


def make_artifact() -> Artifact:
    """All parts, by formulas."""
    images = [{"dataset": [[j, j / 2], [j + 1, j / 4]], "starter": [["animals/cat", 0.25]]} for j in range(D_SAE)]
    return Artifact.from_parts(
        backbone={"id": "golden", "revision": None, "weights_sha256": "0" * 64, "image_size": 28, "token": "cls"},
        dataset={"id": "four classes", "split": None, "n_images": 100, "classes": CLASSES},
        taxonomy={"tau": 0.5, "q": None, "nulls": [], "names": NAMES},
        saes={name: make_sae(*kind, shift) for shift, (name, kind) in enumerate(LAYERS.items())},
        latents={name: make_latents().join(make_nodes()) for name in LAYERS},
        top_images={name: images for name in LAYERS},
        probes={name: make_probe() for name in LAYERS},
        curves={name: {"fvu": 0.25, "l0": 4, "acc1_x": 0.75, "median_height": None} for name in LAYERS},
        tree={"edges": [[1, 2]]},
    )


if __name__ == "__main__":
    make_artifact().save(Path(sys.argv[1]), card="# The golden artifact of schema 2\n")

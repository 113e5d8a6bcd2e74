"""The SAE of a layer, its own or a small one trained here, between the two baselines that the recovery R needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.index import WEIGHTS
from hsae.bench.contestant import Contestant, of_sae
from hsae.bench.grid import Entry, Grid
from hsae.bench.images import BenchLayer
from hsae.bench.rows import Rows
from hsae.bench.suite import LayerBench, make
from hsae.bench.table import table
from hsae.consistency.models import Model
from hsae.sae.model import SparseAutoencoder

SMALL = Grid(
    {"small": {"activation": "topk"}},
    baselines=("random", "probes"),
    d_sae=(128,),
    L0=(8,),
    epochs=80,
    batch_size=128,
)
"""What is trained where there is no SAE, for about a thousand images: more latents would learn them by heart."""
SCORES = ("R", "R_low", "R_high", "owned_40", "tree_precision", "tree_recall", "n_nodes", "n_named", "fvu", "l0")


def sae_scores(model: Model, layer: str, folder: Path, train: bool) -> dict[str, Any]:
    """SCORES of the artifact's SAE, or else of a small one if one may be trained; empty without an SAE.

    What is finished is kept in `folder`.
    """
    if model.artifact is None and not train:
        return {}
    rows = Rows(folder, model.images.content | weights(model.artifact, layer))
    bench = LayerBench(model.images, layer, rows)
    found = [
        bench.row(entry, partial(_contestant, model.artifact, entry), asdict(SMALL.train(entry)) if entry.sae else None)
        for entry in _entries(model.artifact, layer)
    ]
    scores = table([row for row, _ in found]).iloc[-1]
    return {name: scores[name] for name in SCORES if name in scores}


def layer_sae(model: Model, layer: str) -> SparseAutoencoder:
    """The artifact's SAE of a layer, or the small one, trained again: its bits are those that were scored."""
    *_, entry = _entries(model.artifact, layer)
    sae = _contestant(model.artifact, entry, BenchLayer(model.images, layer)).sae
    assert sae is not None  # the last entry is the SAE
    return sae


def _entries(artifact: Artifact | None, layer: str) -> Iterator[Entry]:
    """The baselines at the width of the SAE, then the SAE."""
    for entry in SMALL.entries(layer):
        if artifact is None:
            yield entry
        elif entry.sae is None:
            yield replace(entry, n=artifact.index.layer(layer).d_sae if entry.n else 0)
        else:
            yield Entry("its own", layer, artifact.index.layer(layer).d_sae, 0)


def _contestant(artifact: Artifact | None, entry: Entry, layer: BenchLayer) -> Contestant:
    own = artifact is not None and entry.name == "its own"
    return of_sae(artifact.sae(entry.layer)) if own and artifact else make(layer, entry, SMALL)


def weights(artifact: Artifact | None, layer: str) -> dict[str, str]:
    """What tells one SAE from another."""
    return {} if artifact is None else {"sae": artifact.index.files[artifact.index.layer(layer).file(WEIGHTS)]}

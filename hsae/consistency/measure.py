"""One layer of a model: its consistency with WordNet, and how well an SAE of it knows WordNet's nodes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from hsae.atomic import write_json
from hsae.bench.images import BenchImages
from hsae.consistency.dials import dial_scores
from hsae.consistency.models import Model
from hsae.consistency.scoreboard import layer_sae, sae_scores, weights
from hsae.errors import StoreError
from hsae.measures.plain import significant
from hsae.measures.wordnet.consistency import layer_consistency
from hsae.measures.wordnet.level_probes import Labelled, LayerImages
from hsae.report.names import LabelledImages, labelled_images

VERSION = 1
"""Raised when the meaning of a number changes."""
Numbers = dict[str, Any]


def measure_layer(model: Model, layer: str, folder: Path, train: bool = False) -> Numbers:
    """All numbers of a layer by column; what is finished is kept in `folder`.

    train: whether a small SAE is trained where the model has none; without one, its scores are missing.
    """
    told = {"version": VERSION, "layer": layer, "images": model.images.content}
    numbers = _kept(folder / "layers", told, lambda: _consistency(model.images, layer))
    scores = sae_scores(model, layer, folder / "bench", train)
    if scores:
        told |= {"read_at": model.layers[-1]} | weights(model.artifact, layer)
        scores |= _kept(folder / "dials", told, lambda: dial_scores(model, layer, lambda: layer_sae(model, layer)))
    return {"model": model.name, "layer": layer} | numbers | scores


@torch.no_grad()
def _consistency(images: BenchImages, layer: str) -> Numbers:
    splits, taxonomy = images.splits, images.taxonomy
    parts = (labelled_images([images.train], taxonomy), splits.choice, splits.test)
    found = layer_consistency(LayerImages(*(_labelled(part, layer) for part in parts)), taxonomy)
    numbers: Numbers = {"accuracy": found.accuracy}
    for name, one in found.measures.items():
        values = (None, None, None) if one is None else (one.value, one.null, one.p)
        numbers |= dict(zip((name, f"{name}_null", f"{name}_p"), values, strict=True))
    return numbers


def _labelled(images: LabelledImages, layer: str) -> Labelled:
    return Labelled(images.tokens(layer), torch.from_numpy(images.labels))


def _kept(folder: Path, told: dict[str, Any], make: Callable[[], Numbers]) -> Numbers:
    """The numbers in `folder` that `told` decides, made when they are not there; StoreError for a damaged file."""
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    path = folder / f"{key}.json"
    if not path.is_file():
        write_json(path, significant(make(), 5))
    try:
        numbers = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(numbers, dict):
            return numbers
        raise ValueError(type(numbers).__name__)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} is damaged: {error}", "a finished layer", "Delete it and run again.") from error

"""Is the man a fish? What a patch head says on one object when another stands beside it, and when it stands alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from hsae.backbones.base import Backbone
from hsae.measures.statistics import against_control
from hsae.steering.segmentation.composites import Composites, Picture
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.observed import Observed, patch_places


def pictures_of_pairs(composites: Composites, n: int) -> Iterator[Picture]:
    """Three for each pair of `Composites.pairs`: both objects, and either alone."""
    return (picture for pair in composites.pairs(n) for picture in pair)


@torch.no_grad()
def leakage(backbone: Backbone, heads: Mapping[str, PatchHead], seen: Iterable[Observed]) -> pd.DataFrame:
    """A row for every layer of `heads`, picture and object that covers most of any patch; seen: `pictures_of_pairs`.

    Over the patches of the object: right, the share that the head says right; other, the mean probability of the other
    object's class; third, that of the classes of neither object, per class, background apart. Each also `_alone`.
    """
    rows, one_by_one = [], iter(seen)
    for number, (both, *alone) in enumerate(zip(one_by_one, one_by_one, one_by_one, strict=True)):
        for layer, head in heads.items():
            places = patch_places(backbone, layer)
            truth = both.patch_classes(places)
            labels = [int(one.truth.max()) for one in alone]
            for one, label, other in zip(alone, labels, reversed(labels), strict=True):
                where = np.flatnonzero(truth == label)
                if len(where):
                    beside, by_itself = (
                        _numbers(_said(backbone, head, each, layer, where), label, other) for each in (both, one)
                    )
                    row = {"layer": layer, "picture": number, "label": head.classes[label]} | beside
                    rows.append(row | {f"{name}_alone": value for name, value in by_itself.items()})
    return pd.DataFrame(rows)


def leakage_table(rows: pd.DataFrame, layers: Sequence[str]) -> pd.DataFrame:
    """A line for every layer, means over pictures.

    leak: other - other_alone, with its 95 % interval over pictures and p; third_leak: the same of a third class, which
    is what any class gains when a picture becomes fuller.
    """
    lines: list[dict[str, Any]] = []
    for layer in layers:
        means = rows[rows.layer == layer].drop(columns=["layer", "label"]).groupby("picture").mean()
        leak = against_control(means.other.to_numpy(), means.other_alone.to_numpy())
        third = float((means.third - means.third_alone).mean())
        measured = {"leak": leak["difference"], "low": leak["low"], "high": leak["high"], "p": leak["p"]}
        lines.append({"layer": layer, "pictures": len(means), **means.mean(), **measured, "third_leak": third})
    return pd.DataFrame(lines)


def _said(backbone: Backbone, head: PatchHead, one: Observed, layer: str, where: np.ndarray) -> np.ndarray:
    """Probabilities of the head's classes at some patches, `[patches, n_classes]`."""
    patches = backbone.select_token(one.x[layer], layer, "patch")[0, where]
    return head.logits(patches).softmax(-1).cpu().numpy()


def _numbers(said: np.ndarray, label: int, other: int) -> dict[str, float]:
    third = np.setdiff1d(np.arange(1, said.shape[1]), (label, other))
    return {
        "right": float((said.argmax(1) == label).mean()),
        "other": float(said[:, other].mean()),
        "third": float(said[:, third].mean()) if len(third) else np.nan,
    }

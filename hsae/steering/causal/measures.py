"""How a change of all classes is spread over WordNet around one node; for every measure larger is more hierarchical."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hsae.hierarchy import Taxonomy, lch_rows
from hsae.measures.statistics import spearman


@dataclass(frozen=True, eq=False)
class ClassChange:
    """Mean change of every class, `[n_classes]` each."""

    logits: np.ndarray
    probabilities: np.ndarray


def distances(taxonomy: Taxonomy, node: str) -> np.ndarray:
    """h(LCH(L(node) + c)) - h(node) for every class c, int `[n_classes]`; 0 inside, at least 1 outside."""
    inside = taxonomy.members[taxonomy.position(node)]
    meeting = lch_rows(taxonomy, inside[None] | np.eye(len(inside), dtype=bool))
    return np.where(inside, 0, np.maximum(taxonomy.heights[meeting] - taxonomy.height(node), 1))


def advantage(change: np.ndarray, distance: np.ndarray) -> float:
    """Mean change of the subtree minus that of its siblings, the classes at the least distance outside."""
    siblings = distance == distance[distance > 0].min()
    return float(change[distance == 0].mean() - change[siblings].mean())


def locality(change: np.ndarray, distance: np.ndarray) -> float:
    """The subtree's share of all gains over its share of all classes; 1 is chance, NaN when nothing gains."""
    gains = np.maximum(change, 0)
    inside = distance == 0
    return float(gains[inside].sum() / gains.sum() / inside.mean()) if gains.any() else np.nan


def monotonicity(change: np.ndarray, distance: np.ndarray) -> float:
    """-Spearman(distance, change), in [-1, 1]; NaN when either is constant."""
    correlation = spearman(distance, change)
    return np.nan if correlation is None else -correlation


MEASURES: dict[str, Callable[[ClassChange, np.ndarray], float]] = {
    "advantage": lambda change, distance: advantage(change.logits, distance),
    "advantage_probability": lambda change, distance: advantage(change.probabilities, distance),
    "locality": lambda change, distance: locality(change.probabilities, distance),
    "locality_logit": lambda change, distance: locality(change.logits - change.logits.mean(), distance),
    "monotonicity": lambda change, distance: monotonicity(change.logits, distance),
}


def measure(change: ClassChange, distance: np.ndarray) -> dict[str, float]:
    """Every measure of one change around one node."""
    return {name: value(change, distance) for name, value in MEASURES.items()}


def profile(change: ClassChange, distance: np.ndarray) -> list[dict[str, Any]]:
    """By distance, nearest first: number of classes, their summed change of probability, mean change of logit."""
    rings = [(int(step), distance == step) for step in np.unique(distance)]
    return [
        {
            "distance": step,
            "n_classes": int(ring.sum()),
            "probability": _short(change.probabilities[ring].sum()),
            "logit": _short(change.logits[ring].mean()),
        }
        for step, ring in rings
    ]


def _short(value: float) -> float:
    """To 4 digits, which halves the document."""
    return float(f"{value:.4g}")


def shuffled(changes: Sequence[ClassChange], distance: Sequence[np.ndarray], name: str) -> np.ndarray:
    """One measure of every change (rows) around every feature's node (columns), `[features, features]`."""
    return np.array([[MEASURES[name](change, node) for node in distance] for change in changes])

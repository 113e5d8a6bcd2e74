"""How right the class maps of a patch head are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hsae.backbones.base import Backbone
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.maps import class_map
from hsae.steering.segmentation.observed import Observed


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Accuracy of class maps by pixel, in [0, 1] each."""

    pixel_accuracy: float
    """Share of pixels with the right class."""
    object_accuracy: float
    """The same of the pixels of objects only."""
    mean_iou: float
    """Mean over the classes that occur of |both| / |either|."""
    iou: dict[str, float]
    """By class, of those that occur."""


class Confusion:
    """Counts of pixels by true class and by the class that a map says."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes
        self._counts = np.zeros((len(classes), len(classes)), dtype=np.int64)

    def update(self, truth: np.ndarray, said: np.ndarray) -> Confusion:
        """Add a picture: two maps of class indices of equal size."""
        n = len(self.classes)
        self._counts += np.bincount((truth * n + said).ravel(), minlength=n * n).reshape(n, n)
        return self

    def compute(self) -> HeadScores:
        """The scores of all pictures together; NaN where there are no pixels to score."""
        counts = self._counts
        right, true, said = counts.diagonal(), counts.sum(1), counts.sum(0)
        with np.errstate(invalid="ignore"):
            iou = right / (true + said - right)
            pixel, objects = right.sum() / true.sum(), right[1:].sum() / true[1:].sum()
        occurs = true > 0
        named = {self.classes[at]: float(iou[at]) for at in np.flatnonzero(occurs)}
        return HeadScores(float(pixel), float(objects), float(iou[occurs].mean()) if occurs.any() else np.nan, named)


def score_heads(
    backbone: Backbone, heads: dict[str, PatchHead], seen: Iterable[Observed], layer: str
) -> dict[str, HeadScores]:
    """Scores of several heads of the same classes at one layer, and of saying "background" everywhere."""
    classes = next(iter(heads.values())).classes
    confusions = {name: Confusion(classes) for name in (*heads, "always_background")}
    for one in seen:
        confusions["always_background"].update(one.truth, np.zeros_like(one.truth))
        for name, head in heads.items():
            confusions[name].update(one.truth, class_map(backbone, head, one.x[layer], layer, len(one.truth)))
    return {name: confusion.compute() for name, confusion in confusions.items()}

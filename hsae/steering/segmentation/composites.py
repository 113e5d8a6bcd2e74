"""Pictures whose every pixel has a known class: cut-outs pasted on backgrounds, alone or two side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hsae.data.samples import Samples
from hsae.errors import InputError
from hsae.faithfulness.scenes import paste, paste_beside
from hsae.steering.segmentation.kinds import class_of

Picture = tuple[Image.Image, np.ndarray]
"""A square picture and the class of every pixel, int `[side, side]`, 0 for background."""


@dataclass(frozen=True, eq=False)
class Composites:
    """Cut-outs of known classes and what they are pasted on; the same seed gives the same pictures."""

    samples: Samples
    classes: Sequence[str]
    """Of the patch head; cut-outs of none of them are left out."""
    backgrounds: Sequence[Image.Image]
    """Squares of one size."""
    seed: int = 0

    def alone(self, copies: int) -> Iterator[Picture]:
        """Every cut-out `copies` times, at random places on random backgrounds."""
        generator = np.random.default_rng((self.seed, 1))
        for row, label in [row for row in self._rows() for _ in range(copies)]:
            scene = paste(self.samples.read(row), self._background(generator), generator)
            yield scene.image, np.where(scene.mask, label, 0)

    def beside(self, n: int) -> Iterator[Picture]:
        """`n` pictures of two cut-outs of different classes, side by side."""
        return (both for both, _, _ in self.pairs(n))

    def pairs(self, n: int) -> Iterator[tuple[Picture, Picture, Picture]]:
        """The pictures of `beside`, and each of their two cut-outs alone: same place, same background."""
        generator, rows = np.random.default_rng((self.seed, 2)), self._rows()
        if len({label for _, label in rows}) < 2:
            raise InputError("cut-outs of fewer than two classes", "two or more, to stand beside each other")
        for _ in range(n):
            row, label = rows[generator.integers(len(rows))]
            others = [other for other in rows if other[1] != label]
            row_beside, label_beside = others[generator.integers(len(others))]
            objects = self.samples.read(row), self.samples.read(row_beside)
            background = self._background(generator)
            left, right = paste_beside(*objects, background, generator)
            alone = Image.composite(right.image, background, Image.fromarray(right.mask))
            yield (
                (right.image, np.where(left.mask, label, np.where(right.mask, label_beside, 0))),
                (left.image, np.where(left.mask, label, 0)),
                (alone, np.where(right.mask, label_beside, 0)),
            )

    def _rows(self) -> list[tuple[int, int]]:
        """(row, class) of the cut-outs of known classes."""
        wnids = [None if label is None else self.samples.classes[label] for label in self.samples.labels]
        rows = [(row, class_of(wnid, self.classes)) for row, wnid in enumerate(wnids)]
        return [(row, label) for row, label in rows if label is not None]

    def _background(self, generator: np.random.Generator) -> Image.Image:
        return self.backgrounds[int(generator.integers(len(self.backgrounds)))]

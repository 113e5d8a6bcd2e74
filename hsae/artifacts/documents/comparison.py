"""comparison.json: an artifact's latents against another's, small enough to travel with it; artifacts/README.md.

Most of it is lines of text, whole numbers with spaces between: `latent partner shared mutual` of the strongest pairs of
two layers, `latent layer partner shared mutual` of the best partners, `latent node photo ...` of the other model's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from hsae.artifacts.documents.reading import item, listed, share, within
from hsae.hierarchy import wordnet
from hsae.measures.plain import columns_and_rows, rounded

_LINE = re.compile(r"\d{1,9}(?: \d{1,9})*")


@dataclass(frozen=True, eq=False)
class ComparisonFields:
    """What a comparison of two models, a and b, comes to."""

    names: tuple[str, str]
    layers: tuple[tuple[str, ...], tuple[str, ...]]
    n_images: int
    rule: Mapping[str, Any]
    """score, k, level, concept_f1."""
    side_by_side: pd.DataFrame
    pairs: Sequence[Sequence[Mapping[str, Any]]]
    """For every layer of a and of b the numbers of the pair."""
    strongest: Sequence[Sequence[np.ndarray]]
    """Likewise `[n, 4]`: latent, partner, shared, mutual."""
    partners: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]
    """By layer `[n, 5]`: latent, layer (its place in the other's), partner, shared, mutual."""
    heights: tuple[pd.DataFrame, pd.DataFrame]
    concepts: pd.DataFrame
    concept_counts: Mapping[str, float | None]
    photos: Sequence[str]
    """Keys of photographs of b's latents."""
    latents_b: Mapping[str, Sequence[tuple[int, str | None, Sequence[int]]]]
    """By layer (latent, node it is named after, places in `photos`) of every living latent."""


def write_comparison(fields: ComparisonFields) -> dict[str, Any]:
    """Plain JSON, numbers to four decimals."""
    sides = {side: {"name": fields.names[i], "layers": list(fields.layers[i])} for i, side in enumerate("ab")}
    return {
        **sides,
        "n_images": fields.n_images,
        "rule": dict(fields.rule),
        "side_by_side": columns_and_rows(fields.side_by_side),
        "pairs": [[rounded(cell) for cell in row] for row in fields.pairs],
        "strongest": [[_lines(cell) for cell in row] for row in fields.strongest],
        "partners": {
            side: {layer: _lines(rows) for layer, rows in fields.partners[i].items()} for i, side in enumerate("ab")
        },
        "heights": {side: columns_and_rows(fields.heights[i]) for i, side in enumerate("ab")},
        "concepts": columns_and_rows(fields.concepts) | {"counts": rounded(fields.concept_counts)},
        "latents_b": {
            "photos": list(fields.photos),
            "layers": {
                layer: [" ".join([str(latent), node or "-", *map(str, places)]) for latent, node, places in rows]
                for layer, rows in fields.latents_b.items()
            },
        },
    }


def _lines(rows: np.ndarray) -> list[str]:
    """Whole numbers with spaces between: one short line of the file per row."""
    return [" ".join(str(int(value)) for value in row) for row in rows]


@dataclass(frozen=True)
class Pair:
    """A latent and its partner in the other model."""

    latent: int
    layer: str
    """The partner's."""
    partner: int
    shared: int
    """Of the top `k` images."""
    mutual: bool
    """Each is the other's best."""


@dataclass(frozen=True)
class Latent:
    """What is known of a latent of the other model."""

    node: str | None
    photos: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ComparisonReader:
    """The parts of a comparison document that the page shows; `sizes` has the latents by layer of the first model."""

    document: Mapping[str, Any]
    sizes: Mapping[str, int]

    @property
    def names(self) -> tuple[str, str]:
        """Of both models."""
        first, second = (str(within(self.document, side, "name") or side) for side in "ab")
        return first, second

    @cached_property
    def layers(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of both models; the first model's only those of the artifact, by their place in the document."""
        first, second = (tuple(map(str, listed(within(self.document, side, "layers")))) for side in "ab")
        return first, second

    @property
    def k(self) -> int:
        """How many strongest images of two latents are compared."""
        k = within(self.document, "rule", "k")
        return k if type(k) is int and k > 0 else 1

    def share(self, a: str, b: str) -> tuple[float | None, float | None]:
        """Share of the latents of layer `a` with a partner in layer `b` of the other model.

        And the same when the images of the other model are exchanged within their class: what classes alone explain.
        """
        numbers = self._cell("pairs", a, b)
        scored = within(numbers, str(within(self.document, "rule", "score")))
        return share(within(scored, "partner")), share(within(scored, "chance", "within_classes", "partner"))

    def strongest(self, a: str, b: str) -> list[Pair]:
        """The pairs of two layers that share most images."""
        lines = [_numbers(line, 4) for line in listed(self._cell("strongest", a, b))]
        n = self.sizes.get(a, 0)
        return [Pair(row[0], b, row[1], row[2], bool(row[3])) for row in lines if row and row[0] < n]

    def partner(self, layer: str, latent: int) -> Pair | None:
        """The best partner of a latent in any layer of the other model."""
        for line in listed(within(self.document, "partners", "a", layer)):
            row = _numbers(line, 5)
            if row and row[0] == latent and row[1] < len(self.layers[1]):
                return Pair(latent, self.layers[1][row[1]], row[2], row[3], bool(row[4]))
        return None

    def other(self, layer: str, latent: int) -> Latent:
        """A latent of the other model."""
        return self._others.get(layer, {}).get(latent, Latent(None, ()))

    @cached_property
    def _others(self) -> dict[str, dict[int, Latent]]:
        photos = [str(key) for key in listed(within(self.document, "latents_b", "photos"))]
        latents_by_layer: dict[str, dict[int, Latent]] = {}
        for layer in self.layers[1]:
            lines = listed(within(self.document, "latents_b", "layers", layer))
            words = (str(line).split(" ") for line in lines)
            latents_by_layer[layer] = {
                int(w[0]): _latent(w, photos) for w in words if w[0].isascii() and w[0].isdigit()
            }
        return latents_by_layer

    def table(self, *keys: str) -> list[dict[str, Any]]:
        """A table of the document, one dict a row."""
        stated = within(self.document, *keys)
        columns = [str(name) for name in listed(within(stated, "columns"))]
        rows = listed(within(stated, "rows"))
        fit = (row for row in rows if len(listed(row)) == len(columns) and all(map(_is_cell, row)))
        return [dict(zip(columns, row, strict=True)) for row in fit]

    def counts(self) -> dict[str, float]:
        """Concepts of a, of b, of both, and by chance in both."""
        stated = within(self.document, "concepts", "counts") or {}
        return {name: value for name, value in stated.items() if type(value) in (int, float)}

    def _cell(self, name: str, a: str, b: str) -> Any:
        first, second = self.layers
        if a not in first or b not in second:
            return None
        return item(item(within(self.document, name), first.index(a)), second.index(b))


def _latent(words: list[str], photos: list[str]) -> Latent:
    node = words[1] if len(words) > 1 and words[1] in wordnet() else None
    places = [int(word) for word in words[2:] if word.isascii() and word.isdigit()]
    return Latent(node, tuple(photos[place] for place in places if place < len(photos)))


def _numbers(line: Any, n: int) -> list[int] | None:
    row = [int(word) for word in line.split(" ")] if isinstance(line, str) and _LINE.fullmatch(line) else []
    return row if len(row) == n else None


def _is_cell(value: Any) -> bool:
    return value is None or type(value) in (str, int, float)

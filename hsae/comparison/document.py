"""comparison.json: a comparison as plain JSON, small enough to travel with A's artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hsae.comparison.layer_pair import LEVEL, MAIN, TOP
from hsae.comparison.models import Comparison
from hsae.comparison.tables import (
    CONCEPT_F1,
    concept_counts,
    concepts,
    height_table,
    pair_numbers,
    side_by_side,
)

STRONGEST = 24
"""Pairs of latents listed for each pair of layers."""
PHOTOS = 4
"""Photographs named for a latent of B."""
Photos = Mapping[str, Sequence[Sequence[str]]]
"""By layer, for every latent the keys of its strongest photographs."""


def comparison_document(comparison: Comparison, photos: Photos | None = None) -> dict[str, Any]:
    """Plain JSON, as artifacts/README.md has it; photos: those of B's latents, which A's artifact does not know."""
    table = concepts(comparison)
    return {
        "a": {"name": comparison.a.name, "layers": list(comparison.a.latents)},
        "b": {"name": comparison.b.name, "layers": list(comparison.b.latents)},
        "n_images": comparison.n_images,
        "rule": {"score": MAIN, "k": max(TOP), "level": LEVEL, "concept_f1": CONCEPT_F1},
        "side_by_side": _rows(side_by_side(comparison)),
        "pairs": [
            [_rounded(pair_numbers(comparison, a, b)) for b in comparison.b.latents] for a in comparison.a.latents
        ],
        "strongest": [[_strongest(comparison, a, b) for b in comparison.b.latents] for a in comparison.a.latents],
        "partners": {"a": _partners(comparison), "b": _partners(comparison.reversed)},
        "heights": {"a": _rows(height_table(comparison)), "b": _rows(height_table(comparison.reversed))},
        "concepts": _rows(table) | {"counts": _rounded(concept_counts(comparison, table))},
        "latents_b": _latents_b(comparison, photos or {}),
    }


def _strongest(comparison: Comparison, layer: str, other: str) -> list[str]:
    """`latent partner shared mutual` of the pairs beyond chance that share most, each latent of B once."""
    scored = comparison.pairs[layer, other][MAIN]
    found = scored.found
    order = np.lexsort((~found.mutual, -np.nan_to_num(found.score)))
    order = order[scored.has_partner[order]]
    _, first = np.unique(found.partner[order], return_index=True)
    chosen = order[np.sort(first)][:STRONGEST]
    return _lines(chosen, found.partner[chosen], _shared(found.score[chosen]), found.mutual[chosen])


def _partners(comparison: Comparison) -> dict[str, list[str]]:
    """By layer, `latent layer partner shared mutual` of the latents with a partner beyond chance anywhere."""
    found = {}
    for layer in comparison.a.latents:
        best = comparison.partners(layer)
        chosen = np.flatnonzero(best.beyond)
        shared = _shared(best.score[chosen])
        found[layer] = _lines(chosen, best.layer[chosen], best.partner[chosen], shared, best.mutual[chosen])
    return found


def _latents_b(comparison: Comparison, photos: Photos) -> dict[str, Any]:
    """`latent node photographs` of every living latent of B; photographs as places in the list `photos`."""
    shown = {layer: [keys[:PHOTOS] for keys in rows] for layer, rows in photos.items()}
    keys = sorted({key for rows in shown.values() for row in rows for key in row})
    place = {key: str(position) for position, key in enumerate(keys)}
    found = {}
    for layer in comparison.b.latents:
        table, rows = comparison.b.tables[layer], shown.get(layer)
        nodes = table.best_node.where(table.best_node.notna(), "-")
        found[layer] = [
            " ".join([str(latent), nodes[latent], *(place[key] for key in (rows[latent] if rows else ()))])
            for latent in np.flatnonzero(~table.dead)
        ]
    return {"photos": keys, "layers": found}


def _shared(score: np.ndarray) -> np.ndarray:
    return np.rint(score * max(TOP)).astype(int)


def _lines(*columns: np.ndarray) -> list[str]:
    """Whole numbers with spaces between: one short line of the file for each row."""
    return [" ".join(str(int(value)) for value in row) for row in zip(*columns, strict=True)]


def _rows(table: pd.DataFrame) -> dict[str, Any]:
    """A table as its columns and rows, missing values as null."""
    rows = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    return {"columns": list(table.columns), "rows": [[_rounded(value) for value in row] for row in rows]}


def _rounded(value: Any) -> Any:
    """Numbers to four decimals, whole ones as integers."""
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        return int(value) if value.is_integer() else round(value, 4)
    return value

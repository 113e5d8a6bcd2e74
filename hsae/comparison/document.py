"""A comparison as the fields of the artifact's document `comparison`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hsae.artifacts.documents.comparison import ComparisonFields, write_comparison
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
from hsae.report.shown_names import name_nodes

STRONGEST = 24
"""Pairs of latents listed for each pair of layers."""
PHOTOS = 4
"""Photographs named for a latent of B."""
Photos = Mapping[str, Sequence[Sequence[str]]]
"""By layer, for every latent the keys of its strongest photographs."""


def comparison_document(comparison: Comparison, photos: Photos | None = None) -> dict[str, Any]:
    """The document of a comparison; photos: those of B's latents, which are not in A's artifact."""
    a, b, table = list(comparison.a.latents), list(comparison.b.latents), concepts(comparison)
    shown = {layer: [list(keys[:PHOTOS]) for keys in rows] for layer, rows in (photos or {}).items()}
    keys = sorted({key for rows in shown.values() for row in rows for key in row})
    return write_comparison(
        ComparisonFields(
            names=(comparison.a.name, comparison.b.name),
            layers=(tuple(a), tuple(b)),
            n_images=comparison.n_images,
            rule={"score": MAIN, "k": max(TOP), "level": LEVEL, "concept_f1": CONCEPT_F1},
            side_by_side=side_by_side(comparison),
            pairs=[[pair_numbers(comparison, layer, other) for other in b] for layer in a],
            strongest=[[_strongest(comparison, layer, other) for other in b] for layer in a],
            partners=(_partners(comparison), _partners(comparison.reversed)),
            heights=(height_table(comparison), height_table(comparison.reversed)),
            concepts=table,
            concept_counts=concept_counts(comparison, table),
            photos=keys,
            latents_b={layer: _latents_b(comparison, layer, shown.get(layer), keys) for layer in b},
        )
    )


def _strongest(comparison: Comparison, layer: str, other: str) -> np.ndarray:
    """Latent, partner, shared, mutual of the pairs beyond chance that share most, each latent of B once."""
    scored = comparison.pairs[layer, other][MAIN]
    matching = scored.matching
    order = np.lexsort((~matching.mutual, -np.nan_to_num(matching.score)))
    order = order[scored.has_partner[order]]
    _, first = np.unique(matching.partner[order], return_index=True)
    chosen = order[np.sort(first)][:STRONGEST]
    columns = (chosen, matching.partner[chosen], _count(matching.score[chosen]), matching.mutual[chosen])
    return np.stack(columns, axis=1)


def _partners(comparison: Comparison) -> dict[str, np.ndarray]:
    """By layer, latent, layer, partner, shared, mutual of the latents with a partner beyond chance anywhere."""
    partners = {}
    for layer in comparison.a.latents:
        best = comparison.partners(layer)
        chosen = np.flatnonzero(best.beyond)
        columns = (chosen, best.layer[chosen], best.partner[chosen], _count(best.score[chosen]), best.mutual[chosen])
        partners[layer] = np.stack(columns, axis=1)
    return partners


def _latents_b(
    comparison: Comparison, layer: str, photos: Sequence[Sequence[str]] | None, keys: Sequence[str]
) -> list[tuple[int, str | None, list[int]]]:
    """Latent, the node it is named after and photographs (places in `keys`) of every living latent of a layer of B."""
    table, place = comparison.b.tables[layer], {key: at for at, key in enumerate(keys)}
    nodes = name_nodes(table, older="best_node")
    nodes = nodes.where(nodes.notna(), None)
    return [
        (latent, nodes[latent], [place[key] for key in (photos[latent] if photos else ())])
        for latent in np.flatnonzero(~table.dead).tolist()
    ]


def _count(score: np.ndarray) -> np.ndarray:
    """Number of shared top images from the share of them."""
    return np.rint(score * max(TOP)).astype(int)

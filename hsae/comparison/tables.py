"""A comparison in numbers: by layer pair, by height, by concept, and both models side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hsae.comparison.layer_pair import MAIN, SHUFFLED, WITHIN, ScoredMatching, beyond_chance, threshold
from hsae.comparison.matching import Matching
from hsae.comparison.models import Comparison, Model
from hsae.measures.plain import finite, mean, median
from hsae.report.parts import Numbers
from hsae.report.shown_names import KEPT, name_f1, name_nodes, status

CONCEPT_F1 = 0.5
"""A model has a concept when a latent is named after it; where names were never measured, when a latent has it as best
node with at least this F1 on held-out images."""


def pair_numbers(comparison: Comparison, layer: str, other: str) -> dict[str, Any]:
    """Means over the living latents of one pair of layers, by score, each beside the same on shuffled images."""
    pair = comparison.pairs[layer, other]
    numbers: dict[str, Any] = {name: _scored_numbers(scored) for name, scored in pair.items()}
    numbers["shared_node"] = _shared_node(comparison, layer, other)
    if (layer, other) in comparison.r2:
        r2 = comparison.r2[layer, other]
        defined = r2[~np.isnan(r2)]
        numbers["r2"] = {"median": median(r2), "above_half": mean(defined > 0.5), "n": len(defined)}
    return numbers


def partner_share(scored: ScoredMatching) -> float | None:
    """Share of A's living latents that have a partner."""
    return mean(scored.has_partner[scored.matching.living])


def height_table(comparison: Comparison) -> pd.DataFrame:
    """Latents of A by the height of their best node: how many, and how many have a partner anywhere in B.

    Columns height, n, share, chance (the share on shuffled images), within_classes (when images are exchanged within
    their class), over all layers of A.
    """
    taxonomy = comparison.taxonomy
    height = {node: int(taxonomy.heights[place]) for place, node in enumerate(taxonomy.nodes)}
    parts = []
    for layer in comparison.a.latents:
        partners = comparison.partners(layer)
        chance = partners.chance[SHUFFLED]
        shares = {"share": partners.score, "chance": chance, WITHIN: partners.chance.get(WITHIN)}
        part = {name: beyond_chance(s, chance) for name, s in shares.items() if s is not None}
        living = ~np.isnan(partners.score)
        part["height"] = comparison.a.tables[layer].best_node.map(height).to_numpy(float)
        parts.append(pd.DataFrame(part)[living])
    groups = pd.concat(parts).groupby("height", dropna=True)
    means = groups.mean().astype(float)
    means.insert(0, "n", groups.size())
    return means.reset_index().astype({"height": int})


def concepts(comparison: Comparison) -> pd.DataFrame:
    """WordNet nodes that are some latent's concept in A, in B or in both, one row per node.

    Columns node, height, leaf_count, then for each model its best latent: layer, latent, f1, and first, the earliest
    layer with such a latent; missing where the model has none.
    """
    taxonomy = comparison.taxonomy
    nodes = {"height": taxonomy.heights, "leaf_count": taxonomy.leaf_counts}
    a, b = _model_concepts(comparison.a).add_prefix("a_"), _model_concepts(comparison.b).add_prefix("b_")
    heights = pd.DataFrame(nodes, index=pd.Index(taxonomy.nodes, name="node", dtype=object))
    table = heights.join(a.join(b, how="outer"), how="inner")
    return table.reset_index().sort_values(["height", "node"], ignore_index=True)


def concept_counts(comparison: Comparison, table: pd.DataFrame) -> Numbers:
    """Concepts of A, of B, of both, and of both if each model had drawn its own at random from all class sets."""
    a, b = table.a_f1.notna(), table.b_f1.notna()
    sets = len(np.unique(comparison.taxonomy.members, axis=0))
    return {
        "a": int(a.sum()),
        "b": int(b.sum()),
        "both": int((a & b).sum()),
        "chance": int(a.sum()) * int(b.sum()) / sets,
    }


def side_by_side(comparison: Comparison) -> pd.DataFrame:
    """One row per layer of both models: sparsity, dead latents, label entropy and alignment, from their artifacts.

    population_sparsity is the share of latents active on a token, lifetime_sparsity the median over living latents of
    the share of tokens on which one fires: lower is sparser.
    """
    return pd.DataFrame([_row(model, layer) for model in (comparison.a, comparison.b) for layer in model.latents])


def _scored_numbers(scored: ScoredMatching) -> dict[str, Any]:
    chance = {name: _matching_numbers(matching) for name, matching in scored.chance.items()}
    if WITHIN in scored.chance:
        within = scored.chance[WITHIN]
        share = beyond_chance(within.score, scored.chance[SHUFFLED].score)[within.living]
        chance[WITHIN]["partner"] = mean(share)
    return _matching_numbers(scored.matching) | {
        "partner": partner_share(scored),
        "partner_back": partner_share(scored.reversed()),
        "threshold": finite(threshold(scored.chance[SHUFFLED].score)),
        "chance_pair": scored.chance_pair,
        "chance_best": scored.chance_best,
        "chance": chance,
    }


def _matching_numbers(matching: Matching) -> dict[str, float | None]:
    living, back = matching.living, matching.reversed()
    return {
        "best": mean(matching.score[living]),
        "best_back": mean(back.score[back.living]),
        "mutual": mean(matching.mutual[living]),
        "assigned": mean(matching.assigned_score[living]),
    }


def _shared_node(comparison: Comparison, layer: str, other: str) -> Numbers:
    """Share of partners with the same best node; expected of a random partner; and of partners on shuffled images."""
    scored = comparison.pairs[layer, other][MAIN]
    same = comparison.shared_nodes(layer, other, scored.matching.partner)
    nodes = comparison.a.tables[layer].best_node[~np.isnan(same)]
    shares = comparison.b.tables[other].best_node.value_counts(normalize=True)
    by_chance = comparison.shared_nodes(layer, other, scored.chance[SHUFFLED].partner)
    return {
        "n": int((~np.isnan(same)).sum()),
        "share": mean(same[~np.isnan(same)]),
        "chance": mean(nodes.map(shares).fillna(0).to_numpy(float)),
        SHUFFLED: mean(by_chance[~np.isnan(by_chance)]),
    }


def _model_concepts(model: Model) -> pd.DataFrame:
    """By node: layer and latent with the best F1, and the first layer that has the concept."""
    parts = [
        pd.DataFrame(
            {
                "node": name_nodes(t, older="best_node"),
                "f1": name_f1(t),
                "kept": status(t) == KEPT,
                "layer": layer,
                "place": place,
                "latent": t.index,
            }
        )
        for place, (layer, t) in enumerate((layer, model.tables[layer]) for layer in model.latents)
    ]
    candidates = pd.concat(parts, ignore_index=True)
    candidates = candidates[candidates.node.notna() & (candidates.kept | (candidates.f1 >= CONCEPT_F1))]
    best = candidates.sort_values(["f1", "place"], ascending=[False, True], kind="stable").drop_duplicates("node")
    first = candidates.sort_values("place", kind="stable").drop_duplicates("node").set_index("node").layer
    return best.set_index("node")[["layer", "latent", "f1"]].assign(first=first)


def _row(model: Model, layer: str) -> dict[str, Any]:
    table, curves = model.tables[layer], model.curves.get(layer, {})
    living = table[~table.dead]
    measured = ("l0", "fvu", "acc1_x", "neuron_cosine_encoder", "neuron_cosine_chance")
    looks = ("monosemanticity", "monosemanticity_random")
    return {
        "model": model.name,
        "layer": layer,
        "d_sae": len(table),
        "dead": float(table.dead.mean()),
        "population_sparsity": finite(float(table.frequency.mean())),
        "lifetime_sparsity": median(living.frequency.to_numpy(float)),
        "label_entropy": median(living.label_entropy.to_numpy(float)),
        "n_best_node": int(living.best_node.notna().sum()),
        **{name: curves.get(name) for name in (*measured, *looks)},
    }

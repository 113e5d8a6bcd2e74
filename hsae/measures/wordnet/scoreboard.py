"""The scoreboard of a layer: how many WordNet nodes its latents know, and how well.

    NodeAP      mean over nodes of the AP gain of the latent that ranks the node best: all, and in bands of height
    Nodes@t     nodes whose best latent has an MCC of at least t
    Owned@t     the same when each latent may serve one node only
    R           (NodeAP - that of random directions) / (that of probes - that of random directions)
Latents and thresholds are chosen on some images, all numbers are those of others. Scores are pre-activations, or
projections on any other directions, so that no threshold of an SAE ends the ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hsae.hierarchy.lch import MISSING
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.plain import finite
from hsae.measures.wordnet.node_pairs import (
    NodePairs,
    owning_latents,
    pair_nodes,
    ranking_latents,
    telling_latents,
)
from hsae.measures.wordnet.nodes import LabelledScores, NodeFits, candidate_nodes, node_fits

THRESHOLDS = (0.3, 0.4, 0.5)
"""Of MCC, from which on a node counts as known."""
BANDS = {"h0": (0, 0), "h1_3": (1, 3), "h4": (4, 99)}
"""Least and largest height of the nodes in each band: classes without others below, what is just above, the rest."""
MIN_IMAGES = 5
"""Images under a node that its score takes at least."""

Numbers = dict[str, float | int | None]


@dataclass(frozen=True, eq=False)
class NodeChoice:
    """Which latents stand for which nodes, decided on the choice images."""

    taxonomy: Taxonomy
    node: NDArray[np.int64]
    """Candidate nodes, positions in the taxonomy."""
    fits: NodeFits
    choice: LabelledScores

    @cached_property
    def ranking(self) -> NodePairs:
        """By AP gain."""
        return pair_nodes(self.taxonomy, self.node, ranking_latents(self.fits), self.choice)

    @cached_property
    def telling(self) -> NodePairs:
        """By MCC."""
        return pair_nodes(self.taxonomy, self.node, telling_latents(self.fits), self.choice)

    @cached_property
    def owning(self) -> NodePairs:
        """By MCC, every latent once."""
        return pair_nodes(self.taxonomy, self.node, owning_latents(self.fits), self.choice)


def choosable_nodes(taxonomy: Taxonomy, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the candidate nodes with MIN_IMAGES of the choice images, whose `labels [n_images]` these are."""
    choice = LabelledScores(np.zeros((len(labels), 0), dtype=np.float32), labels)
    node = candidate_nodes(taxonomy, choice)
    return node[choice.under(taxonomy.members[node]) >= MIN_IMAGES]


def choose_latents(taxonomy: Taxonomy, choice: LabelledScores) -> NodeChoice:
    """Every latent against every choosable node on the choice images; what stands for a node follows from it."""
    node = choosable_nodes(taxonomy, choice.labels)
    return NodeChoice(taxonomy, node, node_fits(choice, taxonomy.members[node]), choice)


def scored_nodes(chosen: NodeChoice, test: LabelledScores) -> NDArray[np.bool_]:
    """Which candidate nodes the test images can score: MIN_IMAGES under it, and less than half of all, `[n_nodes]`."""
    images = test.under(chosen.taxonomy.members[chosen.node])
    return (images >= MIN_IMAGES) & (images < len(test.labels) / 2)


def node_ap(chosen: NodeChoice, test: LabelledScores) -> float | None:
    """`score_nodes`'s number of that name alone."""
    gain = chosen.ranking.subset(scored_nodes(chosen, test)).detection(test).ap_gain
    return finite(float(gain.mean())) if len(gain) else None


def score_nodes(chosen: NodeChoice, test: LabelledScores) -> Numbers:
    """n_nodes, node_ap and node_ap_BAND, nodes_T and owned_T (T: 30 for an MCC of .3), on images that chose nothing.

    None for a mean over no node.
    """
    kept = scored_nodes(chosen, test)
    numbers: Numbers = {"n_nodes": int(kept.sum())}
    gain = chosen.ranking.subset(kept).detection(test).ap_gain
    heights = chosen.taxonomy.heights[chosen.node[kept]]
    parts = {"": heights >= 0} | {
        f"_{name}": (heights >= low) & (heights <= high) for name, (low, high) in BANDS.items()
    }
    for name, part in parts.items():
        numbers[f"node_ap{name}"] = finite(float(gain[part].mean())) if part.any() else None
    for name, pairs in {"nodes": chosen.telling, "owned": chosen.owning}.items():
        mcc = pairs.subset(kept & (pairs.latent != MISSING)).detection(test).mcc
        numbers |= {f"{name}_{round(100 * t)}": int((mcc >= t).sum()) for t in THRESHOLDS}
    return numbers


def recovery(node_ap: float, random: float, probe: float) -> float | None:
    """R = (node_ap - random) / (probe - random): 0 is random directions, 1 is supervised probes; may be negative.

    None where probes are no better than random directions.
    """
    return (node_ap - random) / (probe - random) if probe > random else None

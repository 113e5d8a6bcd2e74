"""A latent for every node: chosen on some images, scored on others.

Three choices stand side by side. The latent with the largest AP gain ranks the node's images best, at any threshold;
the one with the largest MCC tells them best, at its threshold; in an assignment each latent may serve one node only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from hsae.errors import InputError
from hsae.hierarchy.lch import MISSING
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.wordnet.names import Detection, detect
from hsae.measures.wordnet.nodes import LabelledScores, NodeFits, own_thresholds


@dataclass(frozen=True, eq=False)
class NodePairs:
    """One latent for each of some nodes, and the score from which on it says the node, `[n_nodes]`."""

    taxonomy: Taxonomy
    node: NDArray[np.int64]
    """Positions in the taxonomy."""
    latent: NDArray[np.int64]
    """MISSING for a node that the assignment leaves without one."""
    threshold: NDArray[np.float32]
    """Best in MCC on the images that chose; NaN where no threshold has an MCC above 0."""

    def detection(self, data: LabelledScores) -> Detection:
        """How well each latent tells its node on other images; a node without a latent or threshold has MCC 0."""
        return detect(self.taxonomy, self.node, self.threshold, data, self.latent)

    def subset(self, kept: NDArray[np.bool_]) -> NodePairs:
        """Some of the pairs, by a mask `[n_nodes]`."""
        return NodePairs(self.taxonomy, self.node[kept], self.latent[kept], self.threshold[kept])


def ranking_latents(fits: NodeFits) -> NDArray[np.int64]:
    """The latent with the largest AP gain for each node, the first of equal ones: `[n_nodes]`."""
    return fits.ap_gain.argmax(axis=0)


def telling_latents(fits: NodeFits) -> NDArray[np.int64]:
    """The latent with the largest MCC for each node, the first of equal ones: `[n_nodes]`."""
    return fits.mcc.argmax(axis=0)


def owning_latents(fits: NodeFits) -> NDArray[np.int64]:
    """The assignment of distinct latents to nodes with the largest sum of MCC, those below 0 counting 0: `[n_nodes]`.

    MISSING for nodes beyond the number of latents.
    """
    latents, nodes = linear_sum_assignment(np.maximum(fits.mcc, 0, dtype=np.float64), maximize=True)
    owner = np.full(fits.mcc.shape[1], MISSING)
    owner[nodes] = latents
    return owner


def pair_nodes(
    taxonomy: Taxonomy, node: NDArray[np.int64], latent: NDArray[np.int64], choice: LabelledScores
) -> NodePairs:
    """Pairs of `node` (positions) and `latent`, with thresholds from the images that chose them."""
    if len(node) != len(latent):
        raise InputError(f"{len(latent)} latents for {len(node)} nodes", "one each")
    threshold, told = np.full(len(node), np.nan, dtype=np.float32), latent != MISSING
    threshold[told] = own_thresholds(choice, latent[told], taxonomy.members[node[told]])
    return NodePairs(taxonomy, node, latent, threshold)

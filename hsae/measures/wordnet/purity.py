"""Purity: of the images on which a latent is strongest, the share that is what its name says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsae.hierarchy.lch import MISSING
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.wordnet.nodes import LabelledScores

TOP = 16


def purity(taxonomy: Taxonomy, node: NDArray[np.int64], test: LabelledScores, top: int = TOP) -> NDArray[np.float64]:
    """Share of each latent's `top` strongest images under its node (a position, or MISSING: NaN), `[n_latents]`.

    Of equal scores the first images count.
    """
    strongest = np.stack(list(test.each(lambda scores: np.argsort(-scores, kind="stable")[:top])))
    under = taxonomy.members[node[:, None], test.labels[strongest]]
    return np.where(node != MISSING, under.mean(axis=1), np.nan)

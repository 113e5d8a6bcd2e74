"""Other rules for selecting the classes of a latent, and scores by its firing rate instead of a yes or no.

The rule of Olson et al. (arXiv 2505.15970) is unknown; all of these are this project's own. A rule gives a selection,
bool [n_latents, n_classes], for `latent_hierarchy`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hsae.errors import InputError
from hsae.hierarchy.lch import at_nodes
from hsae.hierarchy.taxonomy import Taxonomy


def select_by_mean(means: NDArray[np.float64], rho: float = 0.5) -> NDArray[np.bool_]:
    """Classes whose mean activation is at least rho of the latent's largest: means `[n_latents, n_classes]` -> bool.

    rho in (0, 1]. A dead latent gets no class; a class without images (NaN) is never chosen.
    """
    if not 0 < rho <= 1:
        raise InputError(f"rho is {rho}", "a share in (0, 1]")
    means = np.nan_to_num(means, nan=0.0)
    largest = means.max(axis=1, keepdims=True)
    return (means >= rho * largest) & (means > 0)


def select_by_top_images(images: Sequence[NDArray[np.int64]], labels: NDArray[np.int64], n_classes: int) -> np.ndarray:
    """Classes of each latent's strongest images: bool `[n_latents, n_classes]` from image indices per latent.

    One mislabelled image moves the LCH, so show it only beside LCH_q. Images without a label (-1) are left out.
    """
    selected = np.zeros((len(images), n_classes), dtype=bool)
    for latent, chosen in enumerate(images):
        classes = labels[chosen]
        selected[latent, classes[classes >= 0]] = True
    return selected


def weighted_coverage_rows(
    taxonomy: Taxonomy, rates: NDArray[np.float64], position: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Mean firing rate over the classes under each row's node: [n, n_classes], [n] -> [n] in [0, 1].

    With 0 or 1 as rates it is the coverage. NaN where the node is MISSING; classes without images (NaN) are left out.
    """
    under = taxonomy.members[position] & ~np.isnan(rates)
    total = np.where(under, rates, 0.0).sum(axis=1)
    count = under.sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return at_nodes(mean, position)

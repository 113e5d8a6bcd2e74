"""Classes at several levels at once: do readings of each level, which know nothing of each other, fit together?

After Park et al., "Visually consistent hierarchical image classification" (arXiv 2406.11608), whose full-path accuracy
and tree-based inconsistency error these are; WordNet has no levels, so those are cut here by height.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.statistics import AgainstNull, against_null
from hsae.measures.wordnet.class_means import SHUFFLES

HEIGHTS = (0, 2, 5, 9)
"""Of the levels: the 287 classes of `training/configs/starter.yaml` fall into 287, 197, 60 and 11 groups."""
Groups = NDArray[np.int64]


def level_groups(taxonomy: Taxonomy, heights: tuple[int, ...] = HEIGHTS) -> Groups:
    """The group of every class at every level: the loosest node above it of at most that height, `[levels, classes]`.

    Positions in `taxonomy.nodes`. A class that is higher itself stands alone.
    """
    own = np.array([taxonomy.position(wnid) for wnid in taxonomy.classes])
    groups = []
    for height in heights:
        allowed = taxonomy.members & (taxonomy.heights[:, None] <= height)
        allowed[own, np.arange(len(own))] = True
        groups.append(len(taxonomy.nodes) - 1 - allowed[::-1].argmax(axis=0))  # nodes stand tightest first
    return np.stack(groups)


def full_path_accuracy(said: Groups, truth: NDArray[np.int64], groups: Groups) -> AgainstNull:
    """Share of images whose groups are said right at all levels, in [0, 1].

    said `[levels, n_images]` groups; truth `[n_images]` classes, columns of `groups [levels, classes]`. Chance deals
    the groups said at each level out anew among the images of a class: each level is as right, but alone.
    """
    right = groups[:, truth]

    def score(said: Groups) -> float:
        return float((said == right).all(axis=0).mean())

    return against_null(score(said), np.array([score(each) for each in _dealt(said, truth)]))


def tree_inconsistency(said: Groups, truth: NDArray[np.int64], groups: Groups) -> AgainstNull:
    """Share of images whose groups no class has together, such as a dog that is a vehicle, in [0, 1]: small is good.

    Arguments and chance as for `full_path_accuracy`.
    """
    paths = set(map(tuple, groups.T.tolist()))

    def score(said: Groups) -> float:
        return float(np.mean([tuple(path) not in paths for path in said.T.tolist()]))

    return against_null(score(said), np.array([score(each) for each in _dealt(said, truth)]), smaller=True)


def _dealt(said: Groups, truth: NDArray[np.int64], seed: int = 0) -> list[Groups]:
    """Draws of chance: every level in another order within each class."""
    random = np.random.default_rng(seed)
    together = np.argsort(truth, kind="stable")
    draws = []
    for _ in range(SHUFFLES):
        draw = np.empty_like(said)
        for level in range(len(said)):
            order = random.permutation(len(truth))
            draw[level, together] = said[level, order[np.argsort(truth[order], kind="stable")]]
        draws.append(draw)
    return draws

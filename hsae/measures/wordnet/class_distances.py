"""How far apart classes are in WordNet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsae.hierarchy.taxonomy import Taxonomy
from hsae.hierarchy.wordnet import wordnet


def path_distances(taxonomy: Taxonomy) -> NDArray[np.int64]:
    """Links on the shortest way from class to class that goes up, then down: `[n_classes, n_classes]`, 0 to itself."""
    climbs = [_climbs(wnid) for wnid in taxonomy.classes]
    far = len(taxonomy.nodes)
    up = np.full((len(taxonomy.nodes), len(climbs)), far)
    for column, climb in enumerate(climbs):
        up[[taxonomy.position(node) for node in climb], column] = list(climb.values())
    return np.stack([_meeting(up, column, far) for column in range(len(climbs))])


def lch_heights(taxonomy: Taxonomy) -> NDArray[np.int64]:
    """Height of the lowest common hypernym of every two classes, `[n_classes, n_classes]`."""
    lch = np.empty((len(taxonomy.classes),) * 2, dtype=np.int64)
    for column in range(len(taxonomy.classes)):
        above = np.flatnonzero(taxonomy.members[:, column])
        lch[column] = above[taxonomy.members[above].argmax(axis=0)]  # nodes stand tightest first
    return taxonomy.heights[lch]


def _climbs(wnid: str) -> dict[str, int]:
    """Fewest links up to every ancestor, itself included."""
    steps, edge = {wnid: 0}, [wnid]
    while edge:
        above = dict.fromkeys(parent for node in edge for parent in wordnet().parents(node) if parent not in steps)
        steps |= dict.fromkeys(above, steps[edge[0]] + 1)
        edge = list(above)
    return steps


def _meeting(up: NDArray[np.int64], column: int, far: int) -> NDArray[np.int64]:
    above = np.flatnonzero(up[:, column] < far)
    return (up[above, column, None] + up[above]).min(axis=0)

"""WordNet above a class list as a tree: one node for each distinct set of classes."""

from __future__ import annotations

import numpy as np

from hsae.hierarchy.taxonomy import Taxonomy


def branching(taxonomy: Taxonomy) -> dict[str, list[str]]:
    """WordNet without single-child chains, as a tree {node: children}: one node for each distinct set of classes.

    Of several nodes with the same classes the tightest stands for all; a set with several smallest supersets goes under
    the first of them. The root is the key that is no node's child.
    """
    sets = {taxonomy.members[at].tobytes(): at for at in reversed(range(len(taxonomy.nodes)))}  # the tightest stays
    rows = sorted(sets.values())
    members = taxonomy.members[rows].astype(np.float32)
    inside = members @ members.T == members.sum(1)[:, None]  # [i, j]: the classes of i are among those of j
    children: dict[str, list[str]] = {taxonomy.nodes[row]: [] for row in rows}
    for i, row in enumerate(rows[:-1]):
        parent = i + 1 + int(np.argmax(inside[i, i + 1 :]))
        children[taxonomy.nodes[rows[parent]]].append(taxonomy.nodes[row])
    return children

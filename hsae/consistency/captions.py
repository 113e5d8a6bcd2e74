"""Classes and what stands above them as short captions, in chains from general to specific."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, wordnet
from hsae.measures.text_tree import Chain


@dataclass(frozen=True, eq=False)
class ClassCaptions:
    """The captions of a list of classes."""

    nodes: tuple[str, ...]
    """What each caption names."""
    chains: tuple[Chain, ...]
    """For every class the places of its captions among `nodes`, the most general first, its own last."""

    def written(self, template: str) -> list[str]:
        """The captions as text; template: `{}` becomes "a dog", "an animal"; InputError where it has none."""
        if "{}" not in template:
            raise InputError(f"the template {template!r:.80}", 'one with {} for the name, such as "a photo of {}"')
        return [template.replace("{}", with_article(wordnet().name(node))) for node in self.nodes]


def class_captions(taxonomy: Taxonomy) -> ClassCaptions:
    """The chains of all classes; InputError where none has anything above it that sets it apart from others."""
    chains = [chain_of(taxonomy, wnid) for wnid in taxonomy.classes]
    if max(map(len, chains)) < 2:
        got = f"{len(chains)} classes that nothing in WordNet groups"
        raise InputError(got, "classes of which some are kin", "Take more classes.")
    nodes = tuple(dict.fromkeys(node for chain in chains for node in chain))
    at = {node: place for place, node in enumerate(nodes)}
    return ClassCaptions(nodes, tuple(np.array([at[node] for node in chain]) for chain in chains))


def chain_of(taxonomy: Taxonomy, wnid: str) -> tuple[str, ...]:
    """The nodes on a class's longest path that tell some classes from others, the most general first, itself last.

    Of nodes above the same classes the lowest stands for all; what is above all classes is left out.
    """
    path = wordnet().path(wnid)
    counts = [taxonomy.leaf_count(node) for node in path]
    lowest = [node for node, own, below in zip(path, counts, counts[1:], strict=False) if below < own < counts[0]]
    return (*lowest, wnid)


def with_article(name: str) -> str:
    """ "a dog", "an animal": by the first letter, which is wrong for a few words ("a hour")."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"

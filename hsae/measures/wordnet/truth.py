"""Is what a model says of a photograph true? By WordNet, for labels and classes of any height."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hsae.hierarchy import wordnet

AT_ONCE = 5
"""Names that are read together."""


@dataclass(frozen=True)
class Told:
    """What was said of one photograph at one layer. None: there was nothing that could have been true."""

    class_true: bool | None
    """One of the likeliest classes is true; None where no class of the model could be."""
    first_true: bool | None
    """The first name is true; None without a name."""
    five_true: bool
    """One of the first five names is true."""


def told(label: str, likely: Sequence[str], classes: Sequence[str], names: Sequence[str]) -> Told:
    """Judge the `likely` of a model's `classes`, and the nodes that it `names`, by the photograph's own `label`."""
    true = [name_is_true(name, label) for name in names]
    known = any(class_is_true(wnid, label) for wnid in classes)
    return Told(
        class_true=any(class_is_true(wnid, label) for wnid in likely) if known else None,
        first_true=true[0] if true else None,
        five_true=any(true[:AT_ONCE]),
    )


def name_is_true(node: str, label: str) -> bool:
    """Whether a thing of the synset `label` is a `node`: "animal" of a dog, but not "beagle" of a dog."""
    return node == label or node in wordnet().ancestors(label)


def class_is_true(wnid: str, label: str) -> bool:
    """Whether a class may be that of the thing: it is one, or labels are coarser than classes, as "penguin" for one.

    A probe has to answer with one of its classes, so that "king penguin" is right for a photograph labelled "penguin".
    """
    return name_is_true(wnid, label) or name_is_true(label, wnid)

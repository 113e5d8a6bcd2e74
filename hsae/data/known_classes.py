"""Data sets whose classes are known by number or by name: CIFAR-100 and ImageNet-1k.

classes/cifar-100.csv was made by hand, one WordNet sense a name, with a note where the name has several. The classes of
classes/imagenet-1k.csv are in the order of their ids, as everywhere, and named by the first word of their synsets.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("classes")
_ALIKE = 0.9  # share of equal names: lists of the same classes spell a few of them differently

KNOWN = ("cifar-100", "imagenet-1k")


@cache
def known_classes(data_set: str) -> tuple[tuple[str, str], ...]:
    """(name, wnid) of every class of one of `KNOWN`, by class number."""
    with (_FOLDER / f"{data_set}.csv").open(encoding="utf-8", newline="") as lines:
        return tuple((row["name"], row["wnid"]) for row in csv.DictReader(lines))


def recognised(names: Sequence[str]) -> list[str] | None:
    """The wnids of `names` when they are, in order, the classes of a known data set; otherwise None."""
    for data_set in KNOWN:
        classes = known_classes(data_set)
        same = sum(_plain(name) == _plain(known) for name, (known, _) in zip(names, classes, strict=False))
        if len(names) == len(classes) and same >= _ALIKE * len(classes):
            return [wnid for _, wnid in classes]
    return None


def known_map(data_set: str) -> dict[str, str]:
    """Wnids of one of `KNOWN` by class number, by wnid, and by name where only one class has it."""
    classes = known_classes(data_set)
    count = Counter(name for name, _ in classes)
    numbers = {str(number): wnid for number, (_, wnid) in enumerate(classes)}
    return numbers | {wnid: wnid for _, wnid in classes} | {name: wnid for name, wnid in classes if count[name] == 1}


def _plain(name: str) -> str:
    """The first of several synonyms, e.g. "tench" of "tench, Tinca tinca"."""
    return name.split(",")[0].replace("_", " ").strip().lower()

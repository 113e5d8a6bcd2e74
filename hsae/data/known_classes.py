"""Data sets whose classes are known by number or by name: CIFAR-10, CIFAR-100 and ImageNet-1k.

classes/cifar-10.csv and classes/cifar-100.csv were made by hand, one WordNet sense a name, with a note where the name
has several. The classes of classes/imagenet-1k.csv are in the order of their ids, as everywhere, named by the first
word of their synsets, with the other words behind it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("classes")
_ALIKE = 0.9  # share of equal names: lists of the same classes spell a few of them differently

KNOWN = ("cifar-10", "cifar-100", "imagenet-1k")


@cache
def known_classes(data_set: str) -> tuple[tuple[str, str], ...]:
    """(name, wnid) of every class of one of `KNOWN`, by class number."""
    return tuple((row["name"], row["wnid"]) for row in _rows(data_set))


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


def meanings(name: str, data_sets: Sequence[str] = KNOWN) -> tuple[str, ...]:
    """Sorted wnids of the known classes that a name may stand for: none, the one, or several when it is ambiguous.

    Underscores and case do not matter, except where only the case tells two classes apart (Cardigan the dog, cardigan
    the jacket). A list of synonyms ("Doberman, Doberman pinscher") stands for what all known ones among them share.
    """
    words = [word.strip() for word in name.replace("_", " ").split(",")]
    meanings = [wnids for wnids in (_meanings(word, tuple(data_sets)) for word in words) if wnids]
    if not meanings:
        return ()
    return tuple(sorted(frozenset.intersection(*meanings) or frozenset.union(*meanings)))


def described(wnid: str) -> str:
    """The id of a known class with what tells it from others of its name: "n03126707 (the machine)"."""
    rows = (row for data_set in KNOWN for row in _rows(data_set) if row["wnid"] == wnid)
    row = next(rows)
    return f"{wnid} ({row['note'] or ', '.join([row['name'], *filter(None, row.get('words', '').split('|'))])})"


def _meanings(word: str, data_sets: tuple[str, ...]) -> frozenset[str]:
    """By the name as it is, else whatever its case, else by the other words of a synset."""
    exact, folded, others = _index(data_sets)
    return exact.get(word) or folded.get(word.casefold()) or others.get(word.casefold()) or frozenset()


@cache
def _index(data_sets: tuple[str, ...]) -> tuple[Mapping[str, frozenset[str]], ...]:
    """Wnids by name, by name in lower case, and by other words in lower case."""
    exact: dict[str, frozenset[str]] = {}
    folded: dict[str, frozenset[str]] = {}
    others: dict[str, frozenset[str]] = {}
    for row in (row for data_set in data_sets for row in _rows(data_set)):
        name = row["name"].replace("_", " ")
        words = [(exact, name), (folded, name.casefold())]
        words += [(others, word.casefold()) for word in row.get("words", "").split("|") if word]
        for index, word in words:
            index[word] = index.get(word, frozenset()) | {row["wnid"]}
    return exact, folded, others


@cache
def _rows(data_set: str) -> tuple[dict[str, str], ...]:
    with (_FOLDER / f"{data_set}.csv").open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))


def _plain(name: str) -> str:
    """The first of several synonyms, e.g. "tench" of "tench, Tinca tinca"."""
    return name.split(",")[0].replace("_", " ").strip().lower()

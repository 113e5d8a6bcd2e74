"""The noun graph of WordNet 3.0: all 82 115 synsets, their words, links and definitions, as one table.

A synset is named by its WordNet id (wnid): `n` and its byte offset in data.noun as 8 digits, as ImageNet does.
Hypernym and instance-hypernym links both count, so the graph is a DAG with the single root entity, n00001740.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np

from hsae.errors import ArtifactError, InputError, LabelError

_TABLE = Path(__file__).with_name("wordnet.npz")  # layout: build_table.py; licence: LICENSE-wordnet


@cache
def wordnet() -> WordNet:
    """The packaged WordNet 3.0 nouns, read once per process."""
    return WordNet(_TABLE)


@dataclass(frozen=True)
class WordNet:
    """Read-only noun graph in the file `table`; every method raises LabelError naming the ids it does not know."""

    table: Path

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[str]:
        return iter(self._wnids(range(len(self))))

    def __contains__(self, wnid: object) -> bool:
        return self._find(wnid) is not None

    def name(self, wnid: str) -> str:
        """First word of the synset, e.g. "domestic cat"; different synsets can share a name ("crane")."""
        return self.lemmas(wnid)[0]

    def lemmas(self, wnid: str) -> tuple[str, ...]:
        """All words of the synset in WordNet's order, e.g. ("domestic cat", "house cat", ...)."""
        return tuple(self._words[self._row(wnid)].split("\t"))

    def synonyms(self, wnid: str) -> tuple[str, ...]:
        """The words of the synset beside its name, e.g. ("house cat", "Felis domesticus", ...); often none."""
        return self.lemmas(wnid)[1:]

    def gloss(self, wnid: str) -> str:
        """WordNet's definition without its examples."""
        return self._glosses[self._row(wnid)]

    def parents(self, wnid: str) -> tuple[str, ...]:
        """Hypernyms and instance hypernyms of the synset, in WordNet's order; empty for the root only."""
        return self._wnids(self._parent_rows(self._row(wnid)))

    def children(self, wnid: str) -> tuple[str, ...]:
        """Synsets that have this one as a parent, by offset."""
        row = self._row(wnid)
        parents, children = self._links_by_parent
        first, end = np.searchsorted(parents, [row, row + 1])
        return self._wnids(children[first:end])

    def ancestors(self, wnid: str) -> frozenset[str]:
        """The synset and everything above it (reflexive), the root included."""
        visited, front = set(), {self._row(wnid)}
        while front:
            visited |= front
            front = {parent for row in front for parent in self._parent_rows(row)} - visited
        return frozenset(self._wnids(visited))

    def path(self, wnid: str) -> tuple[str, ...]:
        """The longest chain of hypernyms from the root to the synset, both ends included; the lower offset on a tie."""
        parents = self.parents(wnid)
        above = max((self.path(parent) for parent in sorted(parents)), key=len, default=())
        return (*above, wnid)

    def named(self, word: str) -> tuple[str, ...]:
        """All synsets that have this very word among theirs, in the order of `search`; several for "crane", or none."""
        return self._wnids(row for group, _, row in self._ranked(word) if group == 0)

    def search(self, text: str, limit: int = 20) -> tuple[str, ...]:
        """Up to `limit` synsets for a typed text: those with that very word, then words beginning so, then any part.

        Case does not matter; within a group, synsets whose first word matches come first, then lower offsets.
        """
        if limit < 1:
            raise InputError(f"limit is {limit}", "at least 1")
        return self._wnids(row for _, _, row in self._ranked(text)[:limit])

    def require(self, wnids: Iterable[str]) -> None:
        """LabelError naming all of `wnids` that are not WordNet 3.0 nouns."""
        unknown = [wnid for wnid in wnids if wnid not in self]
        if unknown:
            raise _unknown_error(unknown)

    def _row(self, wnid: str) -> int:
        row = self._find(wnid)
        if row is None:
            raise _unknown_error([wnid])
        return row

    def _find(self, wnid: object) -> int | None:
        if not isinstance(wnid, str) or not re.fullmatch(r"n[0-9]{8}", wnid):
            return None
        offset = int(wnid[1:])
        row = bisect_left(self._offsets, offset)
        return row if row < len(self) and self._offsets[row] == offset else None

    def _ranked(self, text: str) -> list[tuple[int, int, int]]:
        """(group, position, row) of every synset that answers a typed text, best first; see `_match`."""
        wanted = " ".join(text.lower().replace("_", " ").split())
        if not wanted:
            return []
        return sorted((*_match(wanted, words), row) for row, words in self._with(wanted))

    def _with(self, wanted: str) -> Iterator[tuple[int, str]]:
        """Row and words of every synset that has this among them; in one text it is found faster than in each."""
        text, starts = self._folded
        at = text.find(wanted)
        while at >= 0:
            row = bisect_right(starts, at) - 1
            end = starts[row + 1] - 1
            yield row, text[starts[row] : end]
            at = text.find(wanted, end)

    def _wnids(self, rows: Iterable[int]) -> tuple[str, ...]:
        return tuple(f"n{self._offsets[row]:08d}" for row in rows)

    def _parent_rows(self, row: int) -> list[int]:
        return self._parents[self._parent_starts[row] : self._parent_starts[row + 1]].tolist()

    def _array(self, name: str) -> np.ndarray:
        if not self.table.is_file():
            raise ArtifactError(f"the WordNet table {self.table} is missing", do="Install hsae again")
        with np.load(self.table, allow_pickle=False) as arrays:  # reads only the array asked for
            return arrays[name]

    def _texts(self, name: str) -> list[str]:
        return self._array(name).tobytes().decode().split("\n")

    @cached_property
    def _offsets(self) -> list[int]:
        return self._array("offsets").tolist()

    @cached_property
    def _parents(self) -> np.ndarray:
        return self._array("parents")

    @cached_property
    def _parent_starts(self) -> np.ndarray:
        return np.concatenate([[0], self._array("parent_ends")])

    @cached_property
    def _links_by_parent(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self._parents, kind="stable")
        children = np.repeat(np.arange(len(self)), np.diff(self._parent_starts))
        return self._parents[order], children[order]

    @cached_property
    def _words(self) -> list[str]:
        return self._texts("words")

    @cached_property
    def _folded(self) -> tuple[str, list[int]]:
        """The words of all synsets in small letters, a line each, and where the lines begin and the last one ends."""
        lines = [words.lower() for words in self._words]
        return "\n".join(lines), [0, *accumulate(len(line) + 1 for line in lines)]

    @cached_property
    def _glosses(self) -> list[str]:
        return self._texts("glosses")


def _unknown_error(wnids: Iterable[object]) -> LabelError:
    return LabelError(
        f"unknown WordNet ids: {', '.join(map(repr, wnids))}",
        'ids of WordNet 3.0 nouns, written like "n02084071"',
        "Find the id of a word with wordnet().search(word)",
    )


def _match(wanted: str, words: str) -> tuple[int, int]:
    """How well the tab-separated `words` answer a search: (0 equal, 1 begins so, 2 contains; position of that word)."""
    lemmas = words.split("\t")
    groups = [3 - (wanted in lemma) - lemma.startswith(wanted) - (lemma == wanted) for lemma in lemmas]
    best = min(groups)
    return best, groups.index(best)

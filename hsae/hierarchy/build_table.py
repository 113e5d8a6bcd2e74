"""Builds the packaged noun table: `python -m hsae.hierarchy.build_table path/to/data.noun [wordnet.npz]`.

Only needed to make the table again; the package ships it. Debian's package wordnet-base holds data.noun.
Layout of a line (man wndb(5WN)): offset file_number n word_count(hex) {word lex_id} pointer_count {symbol offset pos
source/target} | gloss.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hsae.atomic import atomic_path
from hsae.errors import InputError

TABLE = Path(__file__).with_name("wordnet.npz")
HYPERNYM_LINKS = ("@", "@i")  # hypernym; hypernym of an instance ("Jupiter" is an instance of "planet")


class Synset(NamedTuple):
    """One noun: byte offset (its id), words, offsets of its hypernyms, definition without examples."""

    offset: int
    words: list[str]
    hypernyms: list[int]
    gloss: str


def read_synsets(data_noun: Path | str) -> list[Synset]:
    """All nouns of a WordNet `data.noun` in file order; InputError if a line does not start with its byte offset."""
    if not Path(data_noun).is_file():
        raise InputError(f"{data_noun} is not a file", "WordNet's data.noun", "Debian: apt-get install wordnet-base")
    synsets, position = [], 0
    for raw in Path(data_noun).read_bytes().splitlines(keepends=True):
        if not raw.startswith(b" "):  # the licence at the top is indented
            if not raw.startswith(b"%08d " % position):
                raise InputError(
                    f"{data_noun} has the line {raw[:20]!r} at byte {position}",
                    "an unchanged data.noun of WordNet 3.0, where every id is the byte offset of its line",
                )
            synsets.append(_parse(raw.decode("ascii")))
        position += len(raw)
    return synsets


def build_table(data_noun: Path | str, target: Path | str = TABLE) -> None:
    """Write the table of all nouns in `data_noun` to `target`; the same input gives the same bytes."""
    synsets = read_synsets(data_noun)
    row = {synset.offset: number for number, synset in enumerate(synsets)}
    arrays = {
        "offsets": np.array([s.offset for s in synsets], dtype=np.int32),
        "parents": np.array([row[h] for s in synsets for h in s.hypernyms], dtype=np.int32),
        "parent_ends": np.cumsum([len(s.hypernyms) for s in synsets], dtype=np.int32),
        "words": _packed("\t".join(s.words) for s in synsets),
        "glosses": _packed(s.gloss for s in synsets),
    }
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _parse(line: str) -> Synset:
    data, gloss = line.rstrip().split(" | ", maxsplit=1)
    offset, _, _, n_words, *rest = data.split(" ")
    end = 2 * int(n_words, 16)
    pointers = rest[end + 1 :]
    links = zip(pointers[0::4], pointers[1::4], strict=False)
    hypernyms = [int(target) for symbol, target in links if symbol in HYPERNYM_LINKS]
    return Synset(int(offset), [w.replace("_", " ") for w in rest[:end:2]], hypernyms, _definition(gloss))


def _definition(gloss: str) -> str:
    """The gloss without the quoted examples after it."""
    return re.split(r';\s*"', gloss, maxsplit=1)[0].strip(" ;")


def _packed(texts: Iterable[str]) -> np.ndarray:
    return np.frombuffer("\n".join(texts).encode(), dtype=np.uint8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the packaged noun table from WordNet's data.noun.")
    parser.add_argument("data_noun", type=Path)
    parser.add_argument("target", type=Path, nargs="?", default=TABLE)
    build_table(**vars(parser.parse_args()))

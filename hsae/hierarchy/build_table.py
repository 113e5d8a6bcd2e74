"""Builds the packaged noun table: `python -m hsae.hierarchy.build_table path/to/wordnet [wordnet.npz]`.

Only needed to make the table again; the package ships it. The folder holds WordNet 3.0's data.noun and index.noun, as
Debian's package wordnet-base does. nltk reads them; what it drops is taken from the lines of data.noun themselves: the
order of the hypernyms (nltk keeps a set) and quoted words in definitions (nltk takes every quotation for an example).
Layout of a line (man wndb(5WN)): offset file_number n word_count(hex) {word lex_id} pointer_count {symbol offset pos
source/target} | gloss.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import nltk
import numpy as np
from nltk.corpus.reader.wordnet import Synset, WordNetCorpusReader, WordNetError

from hsae.atomic import atomic_path
from hsae.errors import InputError

TABLE = Path(__file__).with_name("wordnet.npz")
_FILES = ("data.noun", "index.noun")
_LEXNAMES = (  # man lexnames(5WN); Debian's package lacks the file
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
    "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person "
    "noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition "
    "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social "
    "verb.stative verb.weather adj.ppl"
)
_HYPERNYM = re.compile(r" @i? (\d{8}) n")  # hypernym; hypernym of an instance ("Jupiter" is an instance of "planet")


class Noun(NamedTuple):
    """One synset: byte offset (its id), words, offsets of its hypernyms, definition without examples."""

    offset: int
    words: list[str]
    hypernyms: list[int]
    gloss: str


@contextmanager
def nltk_nouns(folder: Path | str) -> Iterator[WordNetCorpusReader]:
    """nltk's reader on the nouns of `folder`, while the block runs; InputError if data.noun or index.noun is missing.

    nltk asks for every file of WordNet, in corpora/wordnet of a folder in its data path: the others are there, empty.
    """
    missing = [name for name in _FILES if not (Path(folder) / name).is_file()]
    if missing:
        got = f"{folder} has no {' and no '.join(missing)}"
        raise InputError(got, "WordNet's own files", "Debian: apt-get install wordnet-base, then /usr/share/wordnet")
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The multilingual functions are not available")
        corpus = Path(temporary) / "corpora" / "wordnet"
        corpus.mkdir(parents=True)
        for name in WordNetCorpusReader._FILES:
            (corpus / name).write_bytes((Path(folder) / name).read_bytes() if name in _FILES else b"")
        lexnames = "".join(f"{number:02d}\t{name}\t1\n" for number, name in enumerate(_LEXNAMES.split()))
        (corpus / "lexnames").write_text(lexnames, encoding="ascii")
        nltk.data.path.insert(0, temporary)
        try:
            with ExitStack() as files:
                reader = WordNetCorpusReader(str(corpus), omw_reader=None)
                # nltk leaves its files open.
                files.callback(lambda: [file.close() for file in reader._data_file_map.values()])
                yield reader
        finally:
            nltk.data.path.remove(temporary)


def read_nouns(folder: Path | str) -> list[Noun]:
    """All nouns of WordNet's files in `folder`, in file order; InputError if a line does not start with its offset."""
    with nltk_nouns(folder) as reader:
        lines = _lines(Path(folder) / "data.noun")
        try:
            return [_noun(synset, line) for synset, line in zip(reader.all_synsets("n"), lines, strict=True)]
        except (WordNetError, LookupError, ValueError) as error:
            raise InputError(f"nltk cannot read {folder} ({error!r:.200})", "WordNet 3.0, unchanged") from error


def build_table(folder: Path | str, target: Path | str = TABLE) -> None:
    """Write the table of all nouns in `folder` to `target`; the same input gives the same bytes."""
    nouns = read_nouns(folder)
    row = {noun.offset: number for number, noun in enumerate(nouns)}
    arrays = {
        "offsets": np.array([noun.offset for noun in nouns], dtype=np.int32),
        "parents": np.array([row[h] for noun in nouns for h in noun.hypernyms], dtype=np.int32),
        "parent_ends": np.cumsum([len(noun.hypernyms) for noun in nouns], dtype=np.int32),
        "words": _pack("\t".join(noun.words) for noun in nouns),
        "glosses": _pack(noun.gloss for noun in nouns),
    }
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _lines(data_noun: Path) -> list[str]:
    """The lines of all synsets."""
    lines, position = [], 0
    for raw in data_noun.read_bytes().splitlines(keepends=True):
        if not raw.startswith(b" "):  # the licence at the top is indented
            if not raw.startswith(b"%08d " % position):
                raise InputError(
                    f"{data_noun} has the line {raw[:20]!r} at byte {position}",
                    "an unchanged data.noun of WordNet 3.0, where every id is the byte offset of its line",
                )
            lines.append(raw.decode("ascii"))
        position += len(raw)
    return lines


def _noun(synset: Synset, line: str) -> Noun:
    links, gloss = line.rstrip().split(" | ", maxsplit=1)
    order = [int(offset) for offset in _HYPERNYM.findall(links)]
    above = [hypernym.offset() for hypernym in synset.hypernyms() + synset.instance_hypernyms()]
    words = [word.replace("_", " ") for word in synset.lemma_names()]
    return Noun(synset.offset(), words, sorted(above, key=order.index), _definition(gloss))


def _definition(gloss: str) -> str:
    """The gloss without the quoted examples after it."""
    return re.split(r';\s*"', gloss, maxsplit=1)[0].strip(" ;")


def _pack(texts: Iterable[str]) -> np.ndarray:
    return np.frombuffer("\n".join(texts).encode(), dtype=np.uint8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the packaged noun table from WordNet's files.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("target", type=Path, nargs="?", default=TABLE)
    build_table(**vars(parser.parse_args()))

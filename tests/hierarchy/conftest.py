"""Class lists, the shared vectors, and Debian's WordNet files as an nltk corpus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from nltk.corpus.reader import WordNetCorpusReader

from hsae.hierarchy import Taxonomy
from hsae.hierarchy.build_table import nltk_nouns

DEBIAN = Path("/usr/share/wordnet")
# tabby, Persian cat, Siamese cat, beagle, German shepherd, timber wolf, grey whale, killer whale, tench, fire engine,
# half track, tank, warplane, street sign, baseball, basketball
SMALL = (
    *("n02123045", "n02123394", "n02123597", "n02088364", "n02106662", "n02114367", "n02066245", "n02071294"),
    *("n01440764", "n03345487", "n03478589", "n04389033", "n04552348", "n06794110", "n02799071", "n02802426"),
)
# The same, and dog, domestic cat, carnivore, vehicle: classes above other classes.
NESTED = [*SMALL, "n02084071", "n02121808", "n02075296", "n04524313"]


@pytest.fixture(scope="session")
def vectors(shared: Path) -> dict:
    return json.loads((shared / "lch_vectors.json").read_text())


@pytest.fixture(scope="session")
def taxonomies(vectors: dict) -> dict[str, Taxonomy]:
    """The taxonomies of the vectors' class lists: imagenet1k and tiny200."""
    return {name: Taxonomy(entry["wnids"].split()) for name, entry in vectors["class_lists"].items()}


@pytest.fixture(scope="session")
def small() -> Taxonomy:
    return Taxonomy(SMALL)


@pytest.fixture(scope="session")
def nested() -> Taxonomy:
    return Taxonomy(NESTED)


@pytest.fixture(scope="session")
def wordnet_files() -> Path:
    """Folder with data.noun and index.noun of WordNet 3.0."""
    if not (DEBIAN / "data.noun").is_file():
        pytest.skip(f"needs the WordNet files in {DEBIAN}: apt-get install wordnet-base")
    return DEBIAN


@pytest.fixture(scope="session")
def nltk_wordnet(wordnet_files: Path) -> Iterator[WordNetCorpusReader]:
    """nltk's reader on Debian's files."""
    with nltk_nouns(wordnet_files) as reader:
        yield reader

"""Class lists, the shared vectors, and Debian's WordNet files as an nltk corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hsae.hierarchy import Taxonomy

DEBIAN = Path("/usr/share/wordnet")
LEXNAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
    "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person "
    "noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition "
    "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social "
    "verb.stative verb.weather adj.ppl"
)

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
def data_noun() -> Path:
    if not (DEBIAN / "data.noun").is_file():
        pytest.skip(f"needs the WordNet files in {DEBIAN}: apt-get install wordnet-base")
    return DEBIAN / "data.noun"


@pytest.fixture(scope="session")
def nltk_wordnet(data_noun: Path, tmp_path_factory: pytest.TempPathFactory):
    """nltk's reader on Debian's files, which lack the lexnames and index.sense it insists on."""
    import nltk
    from nltk.corpus.reader import WordNetCorpusReader

    data = tmp_path_factory.mktemp("nltk_data")
    folder = data / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for name in WordNetCorpusReader._FILES:
        (folder / name).write_text("")  # verbs and adjectives are not wanted: their empty files load at once
    for name in ("data.noun", "index.noun"):
        (folder / name).write_bytes((data_noun.parent / name).read_bytes())
    (folder / "lexnames").write_text(
        "".join(f"{number:02d}\t{name}\t1\n" for number, name in enumerate(LEXNAMES.split()))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nltk.data, "path", [str(data)])
        with pytest.warns(UserWarning, match="multilingual"):
            reader = WordNetCorpusReader(str(folder), omw_reader=None)
        yield reader

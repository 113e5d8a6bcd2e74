from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsae.errors import InputError
from hsae.hierarchy import WordNet, wordnet
from hsae.hierarchy.build_table import TABLE, build_table, read_synsets

LICENCE = "  1 This line is indented, as the licence of data.noun is.\n"
# thing; big_thing|whopper under it; Mars, an instance of big_thing. `%d` are the offsets: the bytes before each line.
LINES = (
    "{:08d} 03 n 01 thing 0 001 ~ 00000123 n 0000 | a thing  \n",
    '{:08d} 03 n 02 big_thing 0 whopper 1 002 @ {thing:08d} n 0000 + 00000001 v 0101 | a large thing; "a whopper"  \n',
    "{:08d} 03 n 01 Mars 0 001 @i {big:08d} n 0000 | a planet; it is red  \n",
)


@pytest.fixture
def tiny_noun_file(tmp_path: Path) -> tuple[Path, list[int]]:
    """A three-synset data.noun and its offsets."""
    text, offsets = LICENCE, []
    for line in LINES:
        offsets.append(len(text))
        known = {"thing": offsets[0], "big": offsets[min(1, len(offsets) - 1)]}
        text += line.format(offsets[-1], **known)
    path = tmp_path / "data.noun"
    path.write_text(text)
    return path, offsets


def test_words_links_and_definitions_are_read(tiny_noun_file: tuple[Path, list[int]], tmp_path: Path) -> None:
    path, offsets = tiny_noun_file
    thing, big, mars = (f"n{offset:08d}" for offset in offsets)
    build_table(path, tmp_path / "table.npz")
    graph = WordNet(tmp_path / "table.npz")
    assert tuple(graph) == (thing, big, mars)
    assert graph.lemmas(big) == ("big thing", "whopper")
    assert [graph.gloss(wnid) for wnid in graph] == ["a thing", "a large thing", "a planet; it is red"]
    assert [graph.parents(wnid) for wnid in graph] == [(), (thing,), (big,)]
    assert graph.path(mars) == (thing, big, mars)


def test_a_shifted_file_is_refused_and_leaves_the_table_alone(
    tiny_noun_file: tuple[Path, list[int]], tmp_path: Path
) -> None:
    path, _ = tiny_noun_file
    target = tmp_path / "table.npz"
    build_table(path, target)
    before = target.read_bytes()
    path.write_text(path.read_text().replace("indented", "Indented, and longer"))
    with pytest.raises(InputError, match="at byte"):
        build_table(path, target)
    assert target.read_bytes() == before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.noun is not a file"):
        read_synsets(tmp_path / "data.noun")


def test_the_same_input_gives_the_same_bytes(tiny_noun_file: tuple[Path, list[int]], tmp_path: Path) -> None:
    path, _ = tiny_noun_file
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    build_table(path, first)
    build_table(path, second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.slow
def test_the_packaged_table_is_made_from_wordnets_own_file(data_noun: Path, tmp_path: Path) -> None:
    build_table(data_noun, tmp_path / "again.npz")
    with np.load(tmp_path / "again.npz") as again, np.load(TABLE) as packaged:
        assert set(again) == set(packaged)
        assert all(np.array_equal(again[name], packaged[name]) for name in packaged)
    assert len(WordNet(tmp_path / "again.npz")) == len(wordnet())

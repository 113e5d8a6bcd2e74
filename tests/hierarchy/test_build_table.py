from __future__ import annotations

import re
from pathlib import Path

import nltk
import numpy as np
import pytest

from hsae.errors import InputError
from hsae.hierarchy import WordNet, wordnet
from hsae.hierarchy.build_table import TABLE, build_table, read_nouns

LICENCE = "  1 This line is indented, as the licence of data.noun is.\n"
# thing; big_thing|whopper under it; Mars, an instance of big_thing; a mongrel of both. `%d` are the offsets: the bytes
# before each line.
LINES = (
    "{:08d} 03 n 01 thing 0 001 ~ 00000123 n 0000 | a thing  \n",
    '{:08d} 03 n 02 big_thing 0 whopper 1 002 @ {thing:08d} n 0000 + 00000001 v 0101 | a large thing; "a whopper"  \n',
    '{:08d} 03 n 01 Mars 0 001 @i {big:08d} n 0000 | a planet (called "red"); it is red  \n',
    "{:08d} 03 n 01 mongrel 0 002 @ {big:08d} n 0000 @ {thing:08d} n 0000 | big and not  \n",
)
WORDS = ("thing",), ("big_thing", "whopper"), ("mars",), ("mongrel",)


@pytest.fixture
def tiny_wordnet(tmp_path: Path) -> tuple[Path, list[int]]:
    """A folder with a four-synset WordNet, and its offsets."""
    text, offsets = LICENCE, []
    for line in LINES:
        offsets.append(len(text))
        known = {"thing": offsets[0], "big": offsets[min(1, len(offsets) - 1)]}
        text += line.format(offsets[-1], **known)
    folder = tmp_path / "wordnet"
    folder.mkdir()
    (folder / "data.noun").write_text(text)
    index = [(word, offset) for words, offset in zip(WORDS, offsets, strict=True) for word in words]
    (folder / "index.noun").write_text("".join(f"{word} n 1 0 1 0 {offset:08d}\n" for word, offset in sorted(index)))
    return folder, offsets


def test_words_links_and_definitions_are_read(tiny_wordnet: tuple[Path, list[int]], tmp_path: Path) -> None:
    folder, offsets = tiny_wordnet
    thing, big, mars, mongrel = (f"n{offset:08d}" for offset in offsets)
    build_table(folder, tmp_path / "table.npz")
    graph = WordNet(tmp_path / "table.npz")
    assert tuple(graph) == (thing, big, mars, mongrel)
    assert graph.lemmas(big) == ("big thing", "whopper")
    glosses = ["a thing", "a large thing", 'a planet (called "red"); it is red', "big and not"]
    assert [graph.gloss(wnid) for wnid in graph] == glosses
    assert [graph.parents(wnid) for wnid in graph] == [(), (thing,), (big,), (big, thing)]
    assert graph.path(mars) == (thing, big, mars)


def test_a_shifted_file_is_refused_and_leaves_the_table_alone(
    tiny_wordnet: tuple[Path, list[int]], tmp_path: Path
) -> None:
    folder, _ = tiny_wordnet
    target = tmp_path / "table.npz"
    build_table(folder, target)
    before = target.read_bytes()
    data = folder / "data.noun"
    data.write_text(data.read_text().replace("indented", "Indented, and longer"))
    with pytest.raises(InputError, match="at byte"):
        build_table(folder, target)
    assert target.read_bytes() == before


@pytest.mark.parametrize("name", ["data.noun", "index.noun"])
def test_a_missing_file_is_named(tiny_wordnet: tuple[Path, list[int]], name: str) -> None:
    folder, _ = tiny_wordnet
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"has no {name}"):
        read_nouns(folder)


@pytest.mark.parametrize(("name", "old", "new"), [("index.noun", "mongrel", "mongol"), ("data.noun", " 03 n", " 3x n")])
def test_files_nltk_cannot_read_are_named(tiny_wordnet: tuple[Path, list[int]], name: str, old: str, new: str) -> None:
    folder, _ = tiny_wordnet
    (folder / name).write_text((folder / name).read_text().replace(old, new))
    with pytest.raises(InputError, match="nltk cannot read"):
        read_nouns(folder)


def test_the_same_input_gives_the_same_bytes(tiny_wordnet: tuple[Path, list[int]], tmp_path: Path) -> None:
    folder, _ = tiny_wordnet
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    build_table(folder, first)
    build_table(folder, second)
    assert first.read_bytes() == second.read_bytes()


def test_nltks_path_is_left_as_it_was(tiny_wordnet: tuple[Path, list[int]]) -> None:
    folder, _ = tiny_wordnet
    before = list(nltk.data.path)
    assert len(read_nouns(folder)) == len(LINES)
    assert nltk.data.path == before


@pytest.mark.slow
def test_the_packaged_table_is_made_from_wordnets_own_files(wordnet_files: Path, tmp_path: Path) -> None:
    build_table(wordnet_files, tmp_path / "again.npz")
    with np.load(tmp_path / "again.npz") as again, np.load(TABLE) as packaged:
        assert set(again) == set(packaged)
        assert all(np.array_equal(again[name], packaged[name]) for name in packaged)
    assert len(WordNet(tmp_path / "again.npz")) == len(wordnet())


def test_every_line_of_data_noun_is_in_the_table(wordnet_files: Path) -> None:
    """Without nltk: words, links and definitions as they stand in the lines, for all nouns."""
    graph, n_lines = wordnet(), 0
    for line in (wordnet_files / "data.noun").read_text(encoding="ascii").splitlines():
        if line.startswith(" "):
            continue
        n_lines += 1
        offset, _, _, count, *rest = line.split()
        wnid, end = f"n{offset}", 2 * int(count, 16)
        assert graph.lemmas(wnid) == tuple(word.replace("_", " ") for word in rest[:end:2])
        above = re.findall(r" @i? (\d{8}) n", line[: line.index("|")])
        assert graph.parents(wnid) == tuple(f"n{parent}" for parent in above)
        gloss = graph.gloss(wnid)
        assert line[line.index("|") + 1 :].strip().startswith(gloss)
        assert gloss
        assert not gloss.endswith((" ", ";"))
    assert n_lines == len(graph)

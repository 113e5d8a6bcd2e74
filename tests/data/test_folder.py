"""Folders of class folders: which files count, in which order, under which class."""

from __future__ import annotations

import logging

import pytest

from hsae.data.folder import list_folder
from hsae.data.samples import load_samples
from hsae.errors import InputError, LabelError
from tests.data.conftest import CAT, DOG, png


def test_images_are_sorted_by_path_and_labelled_by_folder(folder):
    samples = load_samples(folder)
    assert samples.classes == (DOG, CAT)
    seen = [(s.key, s.wnid, s.label, s.image.getpixel((0, 0))[0]) for s in samples]
    assert seen == [
        (f"{DOG}/a.png", DOG, 0, 11),
        (f"{DOG}/b.png", DOG, 0, 10),
        (f"{CAT}/b.png", CAT, 1, 0),
        (f"{CAT}/c.png", CAT, 1, 2),
        (f"{CAT}/images/a.PNG", CAT, 1, 1),
    ]
    assert samples.labels == [0, 0, 1, 1, 1]
    assert samples.name == str(folder)


def test_hidden_files_are_ignored_and_others_named(folder, caplog):
    for path in (f"{CAT}/.hidden.png", ".cache/x/a.png", f"{CAT}/notes.txt", "notes.md", f"{DOG}/Thumbs.db"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(png(9))
    with caplog.at_level(logging.WARNING, "hsae.data"):
        assert len(load_samples(folder)) == 5
    (record,) = caplog.records
    assert "skipped 3 file(s)" in record.message
    assert f"{DOG}/Thumbs.db, {CAT}/notes.txt, notes.md" in record.message


def test_names_are_mapped(folder):
    (folder / CAT).rename(folder / "moggy")
    with pytest.raises(LabelError, match="'moggy'"):
        load_samples(folder)
    samples = load_samples(folder, label_map={"moggy": CAT})
    assert samples.classes == (DOG, CAT)
    assert samples.labels == [1, 1, 1, 0, 0]
    assert samples.read(0).key == "moggy/b.png"


def test_a_split_is_a_folder_below(folder):
    for split, shade in (("train", 1), ("val", 2)):
        (folder / "root" / split / CAT).mkdir(parents=True)
        (folder / "root" / split / CAT / "a.png").write_bytes(png(shade))
    (sample,) = load_samples(folder / "root", split="val")
    assert (sample.key, sample.image.getpixel((0, 0))) == (f"{CAT}/a.png", (2, 2, 2))
    with pytest.raises(LabelError, match="`split`"):
        load_samples(folder / "root")
    with pytest.raises(InputError, match="no images"):
        load_samples(folder / "root", split="test")


@pytest.mark.parametrize(
    "files", [["b.png", "a.png"], ["2019/a.png", "2019/deep/b.png", "2020/c.png", "loose.png"]], ids=["flat", "nested"]
)
def test_a_folder_of_anything_is_taken_without_labels(tmp_path, files, caplog):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(png(1))
    with caplog.at_level(logging.WARNING, "hsae.data"):
        samples = load_samples(tmp_path)
    assert [sample.key for sample in samples] == sorted(files)
    assert (samples.classes, samples.labels) == ((), [None] * len(files))
    assert [record.message for record in caplog.records if "2019, 2020" in record.message] == caplog.messages
    assert len(caplog.messages) == ("2019" in "".join(files))


def test_images_beside_class_folders_have_no_label(folder):
    (folder / "loose.png").write_bytes(png(9))
    samples = load_samples(folder)
    assert samples.labels == [None, 0, 0, 1, 1, 1]
    assert (samples.read(0).key, samples.read(0).wnid) == ("loose.png", None)


def test_a_folder_can_be_mapped_to_nothing_and_all_labels_left_out(folder):
    (folder / DOG).rename(folder / "junk")
    with pytest.raises(LabelError, match=r"1 unknown class.*'junk'"):
        load_samples(folder)
    map = folder / "map.csv"
    map.write_text(f"name,wnid\njunk,\n{CAT},{CAT}\n")
    samples = load_samples(folder, label_map=map)
    assert (samples.classes, samples.labels) == ((CAT,), [None, None, 0, 0, 0])
    nothing = load_samples(folder, label_map="none")
    assert (nothing.classes, nothing.labels) == ((), [None] * 5)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(png(0))
    with pytest.raises(InputError, match="holds no images"):
        list_folder(tmp_path)

"""What every source promises: order, views, fingerprints, and what happens to broken images."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hsae.data.sample import varied
from hsae.data.samples import load_samples
from hsae.errors import ImageError, InputError
from tests.data.conftest import CAT, DOG, OAK, png


def keys(samples):
    return [sample.key for sample in samples]


@pytest.mark.parametrize("start", [0, 2, 4, 5, 9])
def test_rows_from_the_middle_equal_the_tail(folder, start):
    samples = load_samples(folder)
    whole = [(row, sample.key) for row, sample in samples.rows()]
    assert [row for row, _ in whole] == list(range(5))
    assert [(row, sample.key) for row, sample in samples.rows(start)] == whole[start:]
    assert [(row, sample.key) for row, sample in samples.rows(start, 4)] == whole[start:4]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(rows=st.lists(st.integers(0, 4)), n=st.integers(0, 7))
def test_views_are_the_rows_they_name(folder, rows, n):
    samples = load_samples(folder)
    every = keys(samples)
    view = samples.subset(rows).take(n)
    assert keys(view) == [every[row] for row in rows][:n]
    assert view.labels == [samples.labels[row] for row in rows][:n]
    assert len(view) == min(n, len(rows))
    assert view.classes == samples.classes


def test_limit_and_shuffle(folder):
    every = keys(load_samples(folder))
    shuffled = keys(load_samples(folder, shuffle_seed=1))
    assert shuffled != every
    assert sorted(shuffled) == sorted(every)
    assert keys(load_samples(folder, shuffle_seed=1, limit=2)) == shuffled[:2]
    assert keys(load_samples(folder, limit=99)) == every
    with pytest.raises(InputError, match="limit=0"):
        load_samples(folder, limit=0)


def test_the_fingerprint_follows_rows_and_labels_only(folder):
    samples = load_samples(folder)
    fingerprint = samples.fingerprint
    assert len(fingerprint) == 64
    (folder / DOG / "a.png").write_bytes(png(200))
    assert load_samples(folder).fingerprint == fingerprint
    assert load_samples(folder).subset(range(5)).fingerprint == fingerprint
    assert load_samples(folder, limit=3).fingerprint == samples.take(3).fingerprint
    others = [samples.take(4), samples.subset([1, 0, 2, 3, 4]), samples.subset([0, 1, 2, 3, 3])]
    (folder / CAT).rename(folder / "cat")
    for wnid in (CAT, OAK):
        others.append(load_samples(folder, label_map={"cat": wnid}))
    (folder / "cat" / "d.png").write_bytes(png(1))
    others.append(load_samples(folder, label_map={"cat": CAT}))
    assert len({fingerprint, *(other.fingerprint for other in others)}) == 1 + len(others)


def test_the_fingerprint_of_the_images_follows_rows_only(folder):
    samples = load_samples(folder)
    same = samples.relabelled({CAT: DOG, DOG: None})
    assert (same.images_fingerprint, same.labels_at([4, 0])) == (samples.images_fingerprint, [0, None])
    assert same.labelling != samples.labelling
    others = [samples.take(4), samples.subset([1, 0, 2, 3, 4]), samples.augmented(2)]
    (folder / CAT / "d.png").write_bytes(png(1))
    others.append(load_samples(folder))
    assert len({samples.images_fingerprint, *(other.images_fingerprint for other in others)}) == 1 + len(others)


def test_broken_rows_are_skipped_named_and_counted_once(broken_folder, caplog):
    samples = load_samples(broken_folder(20, {3, 5}))
    with caplog.at_level(logging.WARNING, "hsae.data"):
        rows = dict(samples.rows())
        assert len(list(samples)) == 18
    assert [row for row, sample in rows.items() if sample is None] == [3, 5]
    assert [reason.split()[0] for reason in samples.skipped] == [f"{OAK}/0003.png", f"{OAK}/0005.png"]
    assert [record.message.split(" of ")[0] for record in caplog.records] == [
        f"skipped broken image {n}" for n in (1, 2)
    ]
    with pytest.raises(ImageError, match=r"0003\.png"):
        samples.read(3)
    assert samples.take(3).skipped == []


@pytest.mark.parametrize(
    ("total", "broken", "stops_at"),
    [
        (99, set(range(50)), None),  # too few to judge
        (120, {0, 1, 2}, None),  # three are always tolerated
        (120, {0, 1, 2, 3}, 99),  # judged at the hundredth row
        (420, {100, 200, 300, 410}, None),  # less than one in a hundred
        (420, {100, 200, 300, 380}, 380),  # more, at the fourth
    ],
)
def test_more_than_one_percent_broken_stops(broken_folder, total, broken, stops_at):
    samples = load_samples(broken_folder(total, broken))
    seen = []

    def read() -> None:
        for start in range(0, total, 64):  # in pieces, as a resumed run reads
            seen.extend(row for row, _ in samples.rows(start, start + 64))

    if stops_at is None:
        read()
        assert seen == list(range(total))
        assert len(samples.skipped) == len(broken)
        return
    with pytest.raises(InputError, match=f"{len(broken)} of {stops_at + 1} images") as caught:
        read()
    assert all(f"{number:04}.png" in str(caught.value) for number in broken)


@pytest.mark.parametrize("source", ["", []])
def test_no_source_is_refused(source):
    with pytest.raises(InputError, match="no source"):
        load_samples(source)


@pytest.mark.parametrize("source", ["no such folder", "/no/such/folder", "a/b/c", "nothing*.parquet", "mnist"])
def test_what_cannot_be_opened_is_refused_with_what_was_tried(source):
    with pytest.raises(InputError, match="tried") as caught:
        load_samples(source)
    assert caught.value.expected


def test_a_file_that_is_no_parquet_is_refused(folder):
    for source in (folder / DOG / "a.png", [folder / "missing.parquet"], f"{folder}/*/a.png"):
        with pytest.raises(InputError, match=r"existing \.parquet"):
            load_samples(source)


def test_a_hub_id_that_cannot_be_reached_is_an_input_error(monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="org/name cannot be loaded"):
        load_samples("org/name")


def test_importing_and_folders_do_not_load_datasets(folder):
    code = f"""
import sys
from hsae.data.samples import load_samples
assert len(load_samples({str(folder)!r})) == 5
assert not {{"datasets", "pyarrow", "torch", "transformers"}} & set(sys.modules), "loaded too much"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_augmented_repeats_every_row_first_as_it_is_then_varied(folder):
    plain = load_samples(folder)
    rows = list(plain.augmented(3))
    assert [sample.key for sample in rows[:3]] == [f"{plain.key(0)}{suffix}" for suffix in ("", " #1", " #2")]
    assert [sample.label for sample in rows] == [label for label in plain.labels for _ in range(3)]
    assert rows[0].image.tobytes() == plain.read(0).image.tobytes()
    assert rows[1].image.size != rows[0].image.size or rows[1].image.tobytes() != rows[0].image.tobytes()


def test_augmented_rows_are_the_same_every_time_and_in_every_view(folder):
    varied = load_samples(folder).augmented(4)
    again = load_samples(folder).augmented(4)
    assert all(a.image.tobytes() == b.image.tobytes() for a, b in zip(varied, again, strict=True))
    assert varied.subset([6, 5]).read(0).image.tobytes() == varied.read(6).image.tobytes()
    assert varied.fingerprint == again.fingerprint != load_samples(folder).augmented(3).fingerprint


def test_variation_crops_and_mirrors_mask_and_image_alike():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 5:20] = 255
    for seed in range(20):
        image, mask = varied(Image.fromarray(pixels), pixels[..., 0] > 0, seed=(seed,))
        assert np.array_equal(np.asarray(image)[..., 0] > 0, mask)
        assert 0.35 <= mask.size / (40 * 60) <= 1


def test_relabelled_moves_rows_to_other_classes_and_drops_labels(folder):
    plain = load_samples(folder)
    first, *others = plain.classes
    moved = plain.relabelled({first: "n00015388"} | dict.fromkeys(others))
    assert moved.classes == ("n00015388",)
    assert moved.labels == [0 if label == 0 else None for label in plain.labels]
    assert [moved.key(row) for row in range(len(moved))] == [plain.key(row) for row in range(len(plain))]
    with pytest.raises(InputError, match=first):
        plain.relabelled(dict.fromkeys(others))


def test_no_copies_at_all_are_refused(folder):
    with pytest.raises(InputError, match="1 or more"):
        load_samples(folder).augmented(0)


def test_reading_rows_again_does_not_make_more_broken_ones_tolerable(broken_folder):
    samples = load_samples(broken_folder(120, {0, 1, 2, 110}))
    for _ in range(5):
        assert len(list(samples.rows(0, 100))) == 100
    with pytest.raises(InputError, match="4 of 101 images"):
        list(samples.chosen([110]))

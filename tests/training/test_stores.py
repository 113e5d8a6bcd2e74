"""Which images a run trains on and which it measures on."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from accelerate import Accelerator

from hsae.data.stream import SampleStream
from hsae.errors import InputError, StoreError
from tests.data.conftest import CAT, DOG, png
from tests.tiny_models import SIDE, tiny_dinov2
from training.disks import shared_disk
from training.run_config import RunConfig
from training.stores import extract, splits

FELINE, ANIMAL = "n02120997", "n00015388"


@pytest.fixture
def data(tmp_path) -> str:
    (tmp_path / "classes.csv").write_text(f"{CAT},{CAT}\n{DOG},{DOG}\n")
    for split, shades in {"train": range(6), "test": range(10, 14)}.items():
        cells = [{"bytes": png(shade), "path": None} for shade in shades]
        labels = [CAT, DOG] * (len(cells) // 2)
        pq.write_table(pa.table({"image": cells, "label": labels}), tmp_path / f"{split}-0.parquet")
    return str(tmp_path)


@pytest.mark.parametrize("classes", [None, f"{FELINE},{ANIMAL}"])
def test_a_streamed_run_trains_and_measures_on_the_same_images(data, classes):
    options = {"data": data, "heldout_split": "test", "data_limit": 5, "classes": classes}
    listed = splits(RunConfig(run="x", **options))
    streamed = splits(RunConfig(run="x", stream=True, label_map=f"{data}/classes.csv", **options))
    assert isinstance(streamed.train, SampleStream)
    for a, b in ((listed.train, streamed.train), (listed.heldout, streamed.heldout)):
        assert [(s.image.tobytes(), s.wnid) for s in a] == [(s.image.tobytes(), s.wnid) for s in b]


@pytest.mark.parametrize("options", [{}, {"heldout_split": ""}, {"heldout_split": "test", "copies": 2}])
def test_a_stream_is_neither_split_nor_repeated(options):
    with pytest.raises(InputError, match="--stream"):
        RunConfig(run="x", stream=True, **options)


def test_only_the_training_images_are_run_in_bfloat16(data, tmp_path):
    shared = {"data": data, "heldout_split": "test", "image_size": SIDE, "train_precision": "bfloat16"}
    config = RunConfig(run=str(tmp_path / "run"), **shared)
    stores = extract(config, splits(config), tiny_dinov2(), shared_disk(Accelerator()))
    assert stores.train.manifest.precision == "bfloat16"
    assert stores.heldout.manifest.precision == stores.starter.manifest.precision == "float32"
    with pytest.raises(InputError, match="train_precision 'bf16'"):
        RunConfig(run="x", train_precision="bf16")


def test_several_sources_each_with_its_own_split_and_map(data, tmp_path):
    for number in range(10):
        file = tmp_path / "more" / "pet" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(100 + number))
    (tmp_path / "map.json").write_text(f'{{"pet": "{ANIMAL}"}}')
    options = {"data": f"{data}, {tmp_path}/more", "heldout_split": "test,", "label_map": f",{tmp_path}/map.json"}
    split = splits(RunConfig(run=str(tmp_path / "run"), **options))
    assert split.train.classes == split.heldout.classes == tuple(sorted([ANIMAL, CAT, DOG]))
    shades = [[sample.image.getpixel((0, 0))[0] for sample in side] for side in (split.train, split.heldout)]
    assert [len(side) for side in shades] == [6 + 8, 4 + 2]
    assert sorted(shades[0][6:] + shades[1][4:]) == list(range(100, 110))
    assert {sample.wnid for sample in split.heldout} == {ANIMAL, CAT, DOG}
    assert list(split.record) == ["1"]


@pytest.mark.parametrize("options", [{"data": "a,b", "label_map": "x,y,z"}, {"data": "a,b", "stream": True}])
def test_sources_that_do_not_fit_their_splits_are_refused(options):
    with pytest.raises(InputError, match="2 sources"):
        RunConfig(run="x", **{"heldout_split": "test"} | options)


def test_what_was_set_apart_stays_so_under_other_labels(data, tmp_path):
    config = RunConfig(run=str(tmp_path / "run"), data=data, image_size=SIDE)
    first = splits(config)
    extract(config, first, tiny_dinov2(), shared_disk(Accelerator()))
    (file,) = (tmp_path / "run").glob("*.json")
    mended = splits(replace(config, label_map="none"))
    assert mended.heldout.classes == ()
    assert mended.record == first.record
    file.unlink()
    assert splits(replace(config, label_map="none")).record != first.record, "on its own it would choose others"
    file.write_text("[]")
    with pytest.raises(StoreError, match="is damaged"):
        splits(config)


def many(tmp_path, a_class: int) -> str:
    """A folder of as many images of a cat and of a dog."""
    for number in range(2 * a_class):
        file = tmp_path / "many" / (CAT, DOG)[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(number))
    return str(tmp_path / "many")


def test_classes_with_enough_images_give_some_to_choose_on_by_default(tmp_path, caplog):
    config = RunConfig(run=str(tmp_path / "run"), data=many(tmp_path, 20))
    split = splits(config)
    assert [len(side) for side in (split.train, split.choice, split.heldout)] == [28, 4, 8]
    assert {sample.wnid for sample in split.choice} == {CAT, DOG}
    assert not caplog.records
    assert splits(replace(config, choice_share=0.0)).choice is None
    assert splits(replace(config, label_map="none")).choice is None


def test_classes_with_few_images_give_none_and_say_so(tmp_path, caplog):
    split = splits(RunConfig(run=str(tmp_path / "run"), data=many(tmp_path, 19)))
    assert split.choice is None
    assert "19 images a class in the median, fewer than 20" in caplog.text


def test_what_was_set_apart_to_choose_on_stays_so_when_labels_are_gone(tmp_path):
    config = RunConfig(run=str(tmp_path / "run"), data=many(tmp_path, 20), image_size=SIDE)
    first = splits(config)
    extract(config, first, tiny_dinov2(), shared_disk(Accelerator()))
    unlabelled = splits(replace(config, label_map="none"))
    assert unlabelled.record == first.record
    assert len(unlabelled.choice) == 4

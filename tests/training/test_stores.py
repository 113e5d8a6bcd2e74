"""Which images a run trains on and which it measures on."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from accelerate import Accelerator

from hsae.data.stream import SampleStream
from hsae.errors import InputError
from tests.data.conftest import CAT, DOG, png
from tests.tiny_models import SIDE, tiny_dinov2
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
    assert isinstance(streamed[0], SampleStream)
    for a, b in zip(listed, streamed, strict=True):
        assert [(s.image.tobytes(), s.wnid) for s in a] == [(s.image.tobytes(), s.wnid) for s in b]


@pytest.mark.parametrize("options", [{}, {"heldout_split": "test", "copies": 2}])
def test_a_stream_is_neither_split_nor_repeated(options):
    with pytest.raises(InputError, match="--stream"):
        RunConfig(run="x", stream=True, **options)


def test_only_the_training_images_are_run_in_bfloat16(data, tmp_path):
    shared = {"data": data, "heldout_split": "test", "image_size": SIDE, "train_precision": "bfloat16"}
    stores = extract(RunConfig(run=str(tmp_path / "run"), **shared), tiny_dinov2(), Accelerator())
    assert stores.train.manifest.precision == "bfloat16"
    assert stores.heldout.manifest.precision == stores.starter.manifest.precision == "float32"
    with pytest.raises(InputError, match="train_precision 'bf16'"):
        RunConfig(run="x", train_precision="bf16")

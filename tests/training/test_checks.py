"""What is wrong with a run is said before anything is decoded or written, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate import Accelerator

from hsae.errors import HsaeError, InputError, LabelError
from hsae.sae.config import SAEConfig
from hsae.sae.train import TrainConfig
from tests.data.conftest import CAT, DOG, png
from tests.hub_emulator import Fault, HubEmulator
from tests.tiny_models import tiny_dinov2, tiny_model
from training.checks import checked_splits
from training.run_config import RunConfig
from training.stages import run

NOT_IN_WORDNET = "n99999999"


def folder_of(root: Path, **counts: int) -> str:
    for name, n in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(n):
            (root / name / f"{number}.png").write_bytes(png(number))
    return str(root)


def checked(root: Path, train: TrainConfig | None = None, **settings: object):
    config = RunConfig(run=str(root / "run"), backbone="none", image_size=56, **settings)
    return checked_splits(config, train or TrainConfig(batch_size=4), tiny_dinov2())


@pytest.fixture(autouse=True)
def _nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsae.data.samples.decode_sample", lambda *_: pytest.fail("an image was decoded"))


def test_a_good_run_passes(tmp_path: Path, hub: HubEmulator) -> None:
    split = checked(tmp_path, data=folder_of(tmp_path / "data", **{CAT: 10, DOG: 10}), push_to_hub="org/name")
    assert (len(split.train), len(split.heldout)) == (16, 4)


def test_a_run_that_could_not_be_pushed_does_not_begin(tmp_path: Path, hub: HubEmulator, monkeypatch) -> None:
    data = folder_of(tmp_path / "data", **{CAT: 10})
    with monkeypatch.context() as patch:
        patch.setattr("training.checks.get_token", lambda: None)
        with pytest.raises(InputError, match="no token to push with"):
            checked(tmp_path, data=data, push_to_hub="org/name")
    hub.fault = lambda method, path: Fault(503)
    with pytest.raises(InputError, match="a Hub that does not answer"):
        checked(tmp_path, data=data, push_to_hub="org/name")


@pytest.mark.parametrize(
    ("counts", "settings", "kind", "says"),
    [
        ({CAT: 9, NOT_IN_WORDNET: 9}, {}, LabelError, NOT_IN_WORDNET),
        ({CAT: 9, "gizmo": 9}, {}, LabelError, "'gizmo'"),
        ({CAT: 9}, {"push_to_hub": "https://huggingface.co/org/name"}, InputError, "a Hub model, org/name"),
        ({CAT: 9}, {"train": TrainConfig(batch_size=100)}, InputError, "batch_size 100 for 7 training images"),
        ({CAT: 1, DOG: 1}, {}, InputError, "leaves no images to measure on"),
        ({CAT: 9}, {"classes": DOG}, InputError, f"no image of .* is under {DOG}"),
        ({CAT: 9}, {"artifact_dtype": "float8"}, InputError, "artifact_dtype 'float8'"),
        ({CAT: 9}, {"tau": 2.0}, InputError, r"tau 2\.0"),
        ({CAT: 9}, {"layers": "block_99"}, HsaeError, "block_99"),
        ({CAT: 9}, {"second_encoder": "no such model"}, HsaeError, "no such model"),
        ({CAT: 9}, {"dataset_name": "x" * 600}, HsaeError, "dataset"),
        ({CAT: 9}, {"random_backbone_run": "no such run"}, HsaeError, "no such run"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_each_mistake_is_found(tmp_path: Path, counts, settings, kind, says) -> None:
    with pytest.raises(kind, match=says):
        checked(tmp_path, data=folder_of(tmp_path / "data", **counts), **settings)
    assert not (tmp_path / "run").exists()


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", **{CAT: 9, NOT_IN_WORDNET: 9})
    with pytest.raises(InputError, match="3 things are wrong") as caught:
        checked(tmp_path, TrainConfig(batch_size=100), data=data, push_to_hub="a/b/c")
    assert all(word in str(caught.value) for word in (NOT_IN_WORDNET, "batch_size 100", "a/b/c"))


def test_two_images_a_class_are_enough_to_measure_every_class(tmp_path: Path) -> None:
    split = checked(tmp_path, TrainConfig(batch_size=2), data=folder_of(tmp_path / "data", **{CAT: 2, DOG: 2}))
    assert sorted(split.train.labels) == sorted(split.heldout.labels) == [0, 1]


def test_classes_without_images_on_one_side_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = folder_of(tmp_path / "data", **{CAT: 9, DOG: 1})
    assert set(checked(tmp_path, data=data).heldout.labels) == {1}
    assert f"1 of 2 classes have no image to measure on: ['{DOG}']" in caplog.text


def test_both_splits_have_one_list_of_classes(tmp_path: Path) -> None:
    folder_of(tmp_path / "data" / "train", **{CAT: 5, DOG: 5})
    folder_of(tmp_path / "data" / "val", **{CAT: 3})
    split = checked(tmp_path, data=str(tmp_path / "data"), data_split="train", heldout_split="val")
    assert split.train.classes == split.heldout.classes == (DOG, CAT)
    assert split.heldout.labels == [1, 1, 1]


def test_a_run_stops_before_anything_is_written(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path / "backbone")
    data = folder_of(tmp_path / "data", **{CAT: 9, NOT_IN_WORDNET: 9})
    config = RunConfig(run=str(tmp_path / "run"), backbone=str(tmp_path / "backbone"), image_size=56, data=data)
    with pytest.raises(LabelError, match=NOT_IN_WORDNET):
        run(config, SAEConfig(), TrainConfig(batch_size=4), Accelerator())
    assert not (tmp_path / "run").exists()

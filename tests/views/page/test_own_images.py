"""A run's own images beside its features: those very ones, or none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import hsae
from hsae.artifacts.artifact import Artifact
from hsae.errors import InputError, StoreError
from hsae.views.page.desk import Desk
from hsae.views.page.models import Models
from hsae.views.page.own_images import images_of, own_images
from hsae.views.page.photos import Photos
from hsae.views.page.state import Choices
from hsae.views.tabs.feature import photographs
from tests.tiny_models import PlainBackbone

LAYER = "block_02"
COLOURS = ("red", "green", "blue", "white")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in COLOURS:
        path = folder / "n02085620" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), name).save(path)
    return folder


def run_on(samples: hsae.Samples, artifact: Artifact, run: Path) -> Artifact:
    """The artifact as that of a run that was measured on some images."""
    hsae.extract_activations(PlainBackbone(), samples, run / "activations" / "heldout", ["stage_1"], "mean")
    artifact.save(run / "artifact")
    return Artifact.load(run / "artifact")


def test_the_images_of_a_run_stand_beside_its_features(artifact, data, tmp_path):
    ours = run_on(hsae.load_samples(str(data)), artifact, tmp_path / "run")
    images = images_of([ours], str(data), None)
    desk = Desk(Models([ours], images), Photos())
    model = next(iter(desk.models.values()))
    model.session(wait=True)
    (shot, *_) = photographs.shots(model, LAYER, 1)["top"]
    row, _ = ours.top_images(LAYER)[1]["dataset"][0]
    assert shot.key == row
    shown = photographs.picture(desk, model, shot).getpixel((5, 5))
    assert shown == hsae.load_samples(str(data)).read(row).image.getpixel((5, 5))
    selection = replace(Choices(desk.models, desk.photos).first(), layer=LAYER, latent=1)
    assert "read from this machine" in photographs.shots_html(desk, selection, 1)
    without = next(iter(Models([ours]).values()))
    assert not any(isinstance(each.key, int) for some in photographs.shots(without, LAYER, 1).values() for each in some)


def test_a_share_set_apart_is_found_again(artifact, data, tmp_path):
    samples = hsae.load_samples(str(data))
    ours = run_on(samples.subset([1, 3]), artifact, tmp_path / "run")
    assert own_images(ours, str(data), None) is None  # all of them are not what it was measured on
    record = tmp_path / "run" / "heldout.json"
    record.write_text(json.dumps({"0": {"images": samples.images_fingerprint, "heldout": [1, 3]}}))
    found = own_images(ours, str(data), None)
    assert found is not None
    assert [found.samples.key(row) for row in found.rows] == [samples.key(1), samples.key(3)]
    assert found.image(2) is None
    record.write_text("[")
    with pytest.raises(StoreError, match=r"heldout\.json is damaged"):
        own_images(ours, str(data), None)


def test_other_images_are_refused(artifact, data, tmp_path):
    ours = run_on(hsae.load_samples(str(data)), artifact, tmp_path / "run")
    Image.new("RGB", (64, 64), "black").save(data / "n02085620" / "more.png")
    with pytest.raises(InputError, match="none of the runs was measured"):
        images_of([ours, artifact], str(data), None)
    assert images_of([ours], None, None) == {}

"""Saving keeps everything, repeats its bytes, and never leaves half an artifact or loses other files."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsae.artifacts.artifact import Artifact
from hsae.errors import ArtifactError, HsaeError, InputError
from tests.artifacts.conftest import contents, read_all
from tests.golden.make import make_artifact, make_sae


def parts(**other) -> Artifact:
    """The golden artifact with some of its parts exchanged."""
    made = make_artifact()
    given = {
        "backbone": made.backbone,
        "dataset": made.dataset,
        "taxonomy": made.taxonomy_rule,
        "saes": {name: made.sae(name) for name in made.layers},
        "latents": {name: made.latents(name) for name in made.layers},
        "top_images": {name: made.top_images(name) for name in made.layers},
        "probes": {name: made.probe(name) for name in made.layers},
        "curves": made.curves,
        "tree": made.tree,
    }
    return Artifact.from_parts(**(given | other))


def assert_equal(a: Artifact, b: Artifact) -> None:
    assert (a.layers, a.backbone, a.dataset, a.taxonomy_rule) == (b.layers, b.backbone, b.dataset, b.taxonomy_rule)
    assert (a.curves, a.tree) == (b.curves, b.tree)
    for name in a.layers:
        for mine, other in zip(a.sae(name).parameters(), b.sae(name).parameters(), strict=True):
            assert torch.equal(mine, other)
        assert (a.sae(name).activation, a.sae(name).k) == (b.sae(name).activation, b.sae(name).k)
        pd.testing.assert_frame_equal(a.latents(name), b.latents(name))
        assert a.top_images(name) == b.top_images(name)
        for field in ("W", "b", "mean", "std"):
            assert torch.equal(getattr(a.probe(name), field), getattr(b.probe(name), field))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_round_trip(tmp_path, dtype):
    made = make_artifact()
    loaded = Artifact.load(made.save(tmp_path / "a", dtype=dtype))
    assert_equal(made, loaded)
    assert made.id == "unsaved"
    assert loaded.id == str(tmp_path / "a")


def test_an_artifact_of_images_without_labels_has_no_probes(tmp_path):
    made = make_artifact()
    tables = {name: made.latents(name).drop(columns="n_classes") for name in made.layers}
    plain = parts(dataset=made.dataset | {"classes": []}, probes={}, latents=tables, tree={})
    loaded = Artifact.load(plain.save(tmp_path / "a"))
    assert (loaded.classes, loaded.layers) == ((), made.layers)
    assert set(loaded.latents(made.layers[0])["n_classes"]) == {-1}
    assert not (tmp_path / "a" / "probes.safetensors").exists()
    assert contents(loaded.save(tmp_path / "b")) == contents(tmp_path / "a")
    for artifact in (plain, loaded):
        with pytest.raises(InputError, match="images without labels"):
            artifact.probe(made.layers[0])
    with pytest.raises(ArtifactError, match="probes of the layers"):
        parts(dataset=made.dataset | {"classes": []})
    with pytest.raises(ArtifactError, match="probes of the layers"):
        parts(probes={})


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_saving_what_was_loaded_gives_the_same_bytes(tmp_path, dtype):
    first = make_artifact().save(tmp_path / "a", dtype=dtype, card="# Card\n")
    second = Artifact.load(first).save(tmp_path / "b", dtype=dtype, card="# Card\n")
    assert contents(first) == contents(second)
    assert Artifact.load(first).sha256 == Artifact.load(second).sha256


def test_float32_keeps_what_float16_rounds(tmp_path):
    third = make_sae("topk", 4, 0)
    third.b_enc[0] = 1 / 3
    made = parts(saes={"block_01": third, "block_02": make_sae("relu", 1, 1)})
    exact, rounded = (Artifact.load(made.save(tmp_path / d, dtype=d)).sae("block_01") for d in ("float32", "float16"))
    assert exact.b_enc[0] == torch.tensor(1 / 3)
    assert rounded.b_enc[0] == torch.tensor(1 / 3).half().float() != exact.b_enc[0]


def test_a_weight_that_float16_cannot_hold_is_refused(tmp_path):
    wide = make_sae("topk", 4, 0)
    wide.b_dec[0] = 1e5
    made = parts(saes={"block_01": wide, "block_02": make_sae("relu", 1, 1)})
    with pytest.raises(ArtifactError, match="float32"):
        made.save(tmp_path / "a")
    assert not any(tmp_path.iterdir())
    assert Artifact.load(made.save(tmp_path / "a", dtype="float32")).sae("block_01").b_dec[0] == 1e5


def test_the_card_and_the_files(tmp_path):
    saved = contents(make_artifact().save(tmp_path / "a", card="# Größe\n"))
    assert saved.pop("README.md").decode() == "# Größe\n"
    index = json.loads(saved.pop("hsae.json"))
    assert set(saved) == set(index["files"])
    assert not (make_artifact().save(tmp_path / "b") / "README.md").exists()


def test_a_subset_of_layers_is_a_whole_artifact(tmp_path):
    whole = make_artifact().save(tmp_path / "whole")
    part = read_all(Artifact.load(whole, layers="block_02").save(tmp_path / "part"))
    assert part.layers == ("block_02",)
    assert torch.equal(part.sae("block_02").W_enc, Artifact.load(whole).sae("block_02").W_enc)


def test_a_crash_while_saving_leaves_the_old_artifact(tmp_path, monkeypatch):
    saved = make_artifact().save(tmp_path / "a")
    before = contents(saved)

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hsae.artifacts.save.write_probes", crash)
    with pytest.raises(KeyboardInterrupt):
        parts(tree={"edges": []}).save(saved)
    assert contents(saved) == before
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_artifact_is_replaced_as_a_whole(tmp_path):
    saved = make_artifact().save(tmp_path / "a", card="# Old\n")
    Artifact.load(saved, layers="block_02").save(saved)
    assert sorted(path.name for path in saved.iterdir()) == [
        "block_02", "curves.json", "hsae.json", "probes.safetensors", "tree.json",
    ]  # fmt: skip


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match=r"thesis\.tex"):
        make_artifact().save(tmp_path)
    with pytest.raises(ArtifactError, match="a file"):
        make_artifact().save(tmp_path / "thesis.tex")
    assert contents(tmp_path) == {"thesis.tex": b"years of work"}


def test_an_unknown_dtype_is_refused(tmp_path):
    with pytest.raises(InputError, match="bfloat16"):
        make_artifact().save(tmp_path / "a", dtype="bfloat16")


def broken_sae(name: str, factor: float):
    sae = make_sae("topk", 4, 0)
    getattr(sae, name).mul_(factor)
    return sae


BAD_PARTS = {
    "layers differ": lambda made: {"probes": {"block_01": made.probe("block_01")}},
    "curve is NaN": lambda made: {"curves": {"block_01": {"fvu": float("nan")}}},
    "curve is a tensor": lambda made: {"curves": {"fvu": torch.ones(1)}},
    "key is a number": lambda made: {"tree": {1: 2}},
    "extra backbone field": lambda made: {"backbone": {**made.backbone, "path": "x"}},
    "no wnid": lambda made: {"dataset": {**made.dataset, "classes": ["dog", "cat", "car", "cow"]}},
    "long rows": lambda made: {"saes": {n: broken_sae("W_dec", 2.0) for n in made.layers}},
    "NaN weight": lambda made: {"saes": {n: broken_sae("b_enc", float("nan")) for n in made.layers}},
    "unknown column": lambda made: {"latents": {n: made.latents(n).assign(colour=1) for n in made.layers}},
    "dead left out": lambda made: {"latents": {n: made.latents(n).drop(columns="dead") for n in made.layers}},
    "row missing": lambda made: {"latents": {n: made.latents(n)[1:] for n in made.layers}},
    "fraction of a class": lambda made: {"latents": {n: made.latents(n).assign(n_classes=0.5) for n in made.layers}},
    "text for a number": lambda made: {"latents": {n: made.latents(n).assign(mean="x") for n in made.layers}},
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_PARTS)
def test_bad_parts_are_refused_and_nothing_is_left(tmp_path, name):
    with pytest.raises(ArtifactError):
        parts(**BAD_PARTS[name](make_artifact())).save(tmp_path / "a")
    assert not any(tmp_path.iterdir())


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
known = {"deadline": None, "max_examples": 40, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@pytest.mark.slow
@settings(**known)
@given(value=st.dictionaries(st.text(max_size=3), plain, max_size=3))
def test_any_json_comes_back_or_is_refused_when_saving(tmp_path, value):
    try:
        saved = parts(curves=value).save(tmp_path / "a")
    except ArtifactError:
        return
    assert Artifact.load(saved).curves == value


@pytest.mark.slow
@settings(**known)
@given(label=st.text(max_size=220), frequency=st.floats(), lch=st.none() | st.text(max_size=10) | st.just("n02084071"))
def test_any_table_comes_back_or_is_refused_when_saving(tmp_path, label, frequency, lch):
    made = make_artifact()
    table = made.latents("block_01").assign(label=label, frequency=frequency, lch=lch)
    try:
        saved = parts(latents={name: table for name in made.layers}).save(tmp_path / "a")
    except HsaeError:
        return
    loaded = Artifact.load(saved).latents("block_02")
    assert loaded["label"].tolist() == [label] * 16
    assert loaded["lch"].isna().all() if lch is None else loaded["lch"].tolist() == [lch] * 16

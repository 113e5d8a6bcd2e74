"""Optional documents: added to a finished artifact, kept by saving and pushing, and never half there."""

import json
import shutil

import pytest

from hsae.artifacts import extras
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.extras import add_document
from hsae.errors import ArtifactError, InputError
from tests.artifacts.conftest import contents, edit_json, refused

VALUE = {"block_01": {"locality": [1.5, None, 0.25]}}


def test_an_artifact_without_documents_says_so(folder):
    artifact = Artifact.load(folder)
    assert artifact.documents == ()
    assert artifact.document("causal") is None


def test_a_document_comes_back_and_nothing_else_changes(folder):
    before = contents(folder)
    path = add_document(folder, "causal", VALUE)
    artifact = Artifact.load(folder)
    assert artifact.document("causal") == VALUE
    assert artifact.documents == ("causal",)
    after = contents(folder)
    assert set(after) - set(before) == {"causal.json"} == {path.name}
    assert {name for name in before if before[name] != after[name]} == {"hsae.json"}


def test_a_new_document_replaces_the_old(folder):
    add_document(folder, "causal", VALUE)
    add_document(folder, "faithfulness", {"a": 1})
    add_document(folder, "causal", {"other": True})
    artifact = Artifact.load(folder)
    assert artifact.document("causal") == {"other": True}
    assert artifact.document("faithfulness") == {"a": 1}


def test_saving_and_taking_layers_keep_the_documents(folder, tmp_path):
    add_document(folder, "comparison", VALUE)
    again = Artifact.load(Artifact.load(folder).save(tmp_path / "again"))
    assert again.document("comparison") == VALUE
    part = Artifact.load(Artifact.load(folder, layers="block_01").save(tmp_path / "part"))
    assert part.document("comparison") == VALUE
    Artifact.load(folder).save(tmp_path / "again")  # over one that has documents


def test_a_changed_document_is_refused(folder):
    path = add_document(folder, "causal", VALUE)
    path.write_text(json.dumps(VALUE | {"added": 1}))
    with pytest.raises(ArtifactError, match="sha256"):
        Artifact.load(folder).document("causal")


def test_an_unknown_file_in_the_index_is_refused(folder):
    edit_json(folder / "hsae.json", lambda index: index["files"].update({"other.json": "0" * 64}))
    refused(folder, "unknown")


@pytest.mark.parametrize("ask", [lambda f: add_document(f, "curves", {}), lambda f: Artifact.load(f).document("x")])
def test_other_names_are_refused_with_those_there_are(folder, ask):
    with pytest.raises(InputError, match="causal, comparison"):
        ask(folder)


def test_what_json_cannot_hold_is_refused_before_anything_is_touched(folder):
    before = contents(folder)
    with pytest.raises(ArtifactError, match="finite"):
        add_document(folder, "causal", {"a": float("nan")})
    assert contents(folder) == before


@pytest.mark.parametrize("survived", range(3))
def test_broken_off_anywhere_the_artifact_stays_whole(folder, monkeypatch, survived):
    add_document(folder, "causal", VALUE)
    real, calls = extras.write_json, []

    def breaks(path, value, **layout):
        if len(calls) == survived:
            raise OSError("no space left on device")
        calls.append(path)
        real(path, value, **layout)

    monkeypatch.setattr(extras, "write_json", breaks)
    with pytest.raises(OSError, match="no space"):
        add_document(folder, "causal", {"new": 1})
    assert Artifact.load(folder).document("causal") == (VALUE if survived == 0 else None)


def test_documents_travel_through_the_hub(hub, folder):
    add_document(folder, "causal", VALUE)
    (folder / "README.md").write_text("---\ntags: [x]\n---\n")
    Artifact.load(folder).push("someone/model")
    assert Artifact.load("someone/model").document("causal") == VALUE
    with pytest.raises(ArtifactError, match="lies on the Hub"):
        add_document("someone/model", "causal", VALUE)


def test_given_documents_are_saved(tmp_path, folder):
    loaded = Artifact.load(folder)
    parts = {
        name: {layer: getattr(loaded, name)(layer) for layer in loaded.layers} for name in ("latents", "top_images")
    }
    made = Artifact.from_parts(
        backbone=loaded.backbone,
        dataset=loaded.dataset,
        taxonomy=loaded.taxonomy_rule,
        saes={layer: loaded.sae(layer) for layer in loaded.layers},
        probes={layer: loaded.probe(layer) for layer in loaded.layers},
        curves=loaded.curves,
        tree=loaded.tree,
        extras={"starter": VALUE},
        **parts,
    )
    shutil.rmtree(folder)
    assert Artifact.load(made.save(tmp_path / "made")).document("starter") == VALUE

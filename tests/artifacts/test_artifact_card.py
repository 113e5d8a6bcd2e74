"""A card is valid front matter with the measured numbers, and what it tells people to type works."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from huggingface_hub import ModelCard

from hsae.artifacts import card as card_module
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.card import layer_figure, render_card, save_with_card
from hsae.errors import InputError
from tests.artifacts.test_artifact_save import parts
from tests.golden.make import make_artifact
from tests.hub_store import Store

CURVES = {"fvu": 0.25, "l0": 4, "dead": 0.0625, "acc1_x": 0.8, "acc1_x_hat": 0.6, "median_coverage": None}


@pytest.fixture
def artifact():
    curves = {"block_01": CURVES, "block_02": CURVES | {"fvu": 0.5, "median_log2_coverage": 1.5}}
    return parts(curves=curves, backbone={**make_artifact().backbone, "id": "facebook/dinov2-small"})


def test_the_front_matter_is_what_the_hub_asks_for(artifact):
    text = render_card(artifact, "org/name")
    assert Store.card_errors(text) == []
    data = ModelCard(text).data
    assert (data.library_name, data.base_model, data.license) == ("hsae", "facebook/dinov2-small", "apache-2.0")
    assert {"sparse-autoencoder", "arxiv:2505.15970"} <= set(data.tags)
    assert data.datasets is None  # "four classes" is no id of the Hub
    measured = {(r.metric_type, r.metric_name.split(", ")[1]): r.metric_value for r in data.eval_results}
    assert measured == {
        ("fvu", "block_01"): 0.25, ("fvu", "block_02"): 0.5, ("l0", "block_01"): 4, ("l0", "block_02"): 4,
        ("dead", "block_01"): 0.0625, ("dead", "block_02"): 0.0625, ("acc1_x", "block_01"): 0.8,
        ("acc1_x", "block_02"): 0.8, ("probe_kept", "block_01"): 0.75, ("probe_kept", "block_02"): 0.75,
        ("median_log2_coverage", "block_02"): 1.5,
    }  # fmt: skip


def test_the_emulators_check_would_notice():
    """Control: the check that the cards pass refuses what the Hub refuses."""
    assert Store.card_errors("---\ntags: a\n---\n")
    assert Store.card_errors("---\na: [\n---\n")
    assert Store.card_errors("---\nmodel-index:\n- name: x\n  results:\n  - metrics: [{type: fvu}]\n---\n")


def test_the_text_says_how_it_was_made_and_how_good_it_is(artifact):
    text = render_card(artifact, command="accelerate launch training/train.py --k 4")
    assert "    accelerate launch training/train.py --k 4\n" in text
    assert "| `block_02` | 0.5 | 4 | 0.0625 | 0.8 | 0.75 | 1.5 |" in text
    assert "octaves of coverage over chance" in text
    for heading in ("Limits", "Licences", "Citation", "Load it"):
        assert f"\n## {heading}\n" in text
    assert "not recorded" in render_card(make_artifact())
    assert not re.search(r"{{|{%|\n\n\n", text)


def test_what_the_card_tells_people_to_type_works(hub, artifact, tmp_path):
    commit = artifact.push("org/name")
    text = hub.repo("org/name").commits[commit]["README.md"].decode()
    code = re.findall(r"```python\n(.*?)```", text, re.S)
    assert "org/name" in code[0]
    names: dict = {}
    exec(code[0], names)
    assert names["sae"].encode(names["sae"].b_dec[None]).shape == (1, 16)
    assert 'SAE.from_pretrained("org/name", "block_02")' in code[1]  # run by test_saelens_parity.py


def test_saved_with_card_and_figure_and_pushed_under_its_name(hub, artifact, tmp_path):
    folder = save_with_card(artifact, tmp_path / "a", command="train it")
    ElementTree.parse(folder / "card" / "layers.svg")
    assert "![layers.svg](card/layers.svg)" in (folder / "README.md").read_text()
    commit = Artifact.load(folder).push("org/mine")
    files = hub.repo("org/mine").commits[commit]
    assert "card/layers.svg" in files
    assert "org/name" not in files["README.md"].decode()
    assert "train it" in files["README.md"].decode()


def test_the_figure_shows_the_values():
    drawn = layer_figure({"a": {"fvu": 0.0}, "b": {"fvu": 2.0}, "<c>": {}}, {"fvu": "FVU", "l0": "L0"})
    root = ElementTree.fromstring(drawn)
    places = root.find(".//{*}polyline").get("points").split()
    assert places == ["30.0,120.0", "117.5,30.0"]
    assert len(root.findall("{*}g")) == 1


def test_without_templates_the_error_says_where_they_are(artifact, tmp_path, monkeypatch):
    monkeypatch.setattr(card_module, "_TEMPLATES", tmp_path)
    with pytest.raises(InputError, match="hub_cards"):
        render_card(artifact)

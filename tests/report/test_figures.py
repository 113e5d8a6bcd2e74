"""Figures of planted layers: every file is there, its table says what was planted, and edge layers do not crash it."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hsae.__main__ import main
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.tree import write_tree
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import set_nulls
from hsae.report.figures import COVERAGE_BINS, random_density, write_figures
from hsae.report.inputs import LabelledActivations, LayerInputs
from hsae.report.layer import report_layer
from tests.hierarchy.conftest import SMALL
from tests.report.test_layer import CAT, CLASSES, cat_sae, one_hot_activations

NAMES = ["layers", "hierarchy", "emergence", "sparsity", "lifetime", "firing"]


@pytest.fixture(scope="module")
def artifact():
    data, taxonomy = one_hot_activations(), Taxonomy(CLASSES)
    dead = cat_sae()
    dead.b_enc.fill_(-100)
    saes = {"block_01": dead, "block_02": cat_sae()}
    reports = {
        n: report_layer(LayerInputs(sae, data, LabelledActivations(data.x, data.labels), taxonomy), data.x[:2])
        for n, sae in saes.items()
    }
    return Artifact.from_parts(
        backbone={"id": "x", "revision": None, "weights_sha256": "0" * 64, "image_size": 28, "token": "cls"},
        dataset={"id": "x", "split": None, "n_images": len(data.x), "classes": list(CLASSES)},
        taxonomy={"tau": 0.5, "q": None, "nulls": []},
        saes=saes,
        latents={n: r.latents for n, r in reports.items()},
        top_images={n: [{"dataset": [], "starter": []}] * 3 for n in reports},
        probes={n: r.probe for n, r in reports.items()},
        curves={n: r.curves for n, r in reports.items()},
        tree=write_tree(taxonomy, {n: r.structure for n, r in reports.items()}),
    )


@pytest.mark.slow
def test_one_command_writes_every_figure_with_its_table(artifact, tmp_path, capsys):
    artifact.save(tmp_path / "run" / "artifact", dtype="float32")
    assert main(["figures", str(tmp_path / "run")]) == 0
    folder = tmp_path / "run" / "figures"
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{n}.{kind}" for n in NAMES for kind in ("png", "csv"))
    assert capsys.readouterr().out.split() == [str(folder / f"{name}.png") for name in NAMES]
    for name in NAMES:
        with Image.open(folder / f"{name}.png") as image:
            assert len(np.unique(np.asarray(image))) > 10
    hierarchy = pd.read_csv(folder / "hierarchy.csv").set_index(["layer", "latent"])
    assert len(hierarchy) == 6  # one row per latent
    assert hierarchy.lch[("block_02", 0)] == CAT
    layers = pd.read_csv(folder / "layers.csv").set_index("layer")
    assert layers.dead["block_01"] == 1
    assert layers.fvu["block_02"] == pytest.approx(artifact.curves["block_02"]["fvu"])
    lifetime = pd.read_csv(folder / "lifetime.csv").set_index("layer")
    assert lifetime.dead.to_dict() == {"block_01": 3, "block_02": 1}
    firing = pd.read_csv(folder / "firing.csv").set_index(["layer", "band"])
    assert not firing.loc["block_01"].any(axis=None)  # all of its rows are dead
    assert (firing.loc["block_02"].sum(axis=1) > 0).tolist() == [True, True, False]
    emergence = pd.read_csv(folder / "emergence.csv").set_index(["node", "layer", "measure"])
    assert emergence.value[(CLASSES[-1], "block_02", "ap_gain")] == 1  # the fire engine


@pytest.mark.slow
def test_small_figures_fit_a_page_and_come_without_tables(artifact, tmp_path, monkeypatch):
    artifact.save(tmp_path / "artifact")
    assert main(["figures", str(tmp_path / "artifact"), "--small", "--out", str(tmp_path / "figures")]) == 0
    files = sorted((tmp_path / "figures").iterdir())
    assert [file.name for file in files] == sorted(f"{name}.png" for name in NAMES)
    sizes = {file.name: file.stat().st_size for file in files}
    assert max(sizes.values()) < 150_000
    limit = max(sizes.values()) - 1
    monkeypatch.setattr("hsae.report.figure_files.SMALL_BYTES", limit)
    assert main(["figures", str(tmp_path / "artifact"), "--small", "--out", str(tmp_path / "figures")]) == 0
    assert max(file.stat().st_size for file in files) < limit


@pytest.mark.slow
def test_an_artifact_stays_as_it_is(artifact, tmp_path):
    folder = artifact.save(tmp_path / "artifact")
    before = sorted(p.name for p in folder.iterdir())
    assert main(["figures", str(folder)]) == 0
    assert sorted(p.name for p in folder.iterdir()) == before
    assert (tmp_path / "artifact-figures" / "layers.png").is_file()


def test_a_folder_without_artifact_is_one_sentence(tmp_path, capsys):
    assert main(["figures", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("ArtifactError: ")


def test_layers_must_match(tmp_path):
    with pytest.raises(InputError, match="same layers"):
        write_figures(tmp_path, {"a": {}}, {}, {}, Taxonomy(CLASSES))


def test_the_random_density_has_the_nulls_mean_height():
    taxonomy = Taxonomy(SMALL)
    heights = np.arange(-0.5, taxonomy.heights.max() + 1.5)
    density = random_density(taxonomy, np.full(40, 2), heights)
    assert density.shape == (len(heights) - 1, len(COVERAGE_BINS) - 1)
    assert density.sum() == pytest.approx(40)
    mean = (density.sum(axis=1) * np.arange(len(heights) - 1)).sum() / 40
    assert mean == pytest.approx(set_nulls(taxonomy, [2], 5000)[2].mean_height, abs=0.3)

"""A layer's report on planted classes: what it must find, and that edge layers have values instead of crashes."""

import numpy as np
import pandas as pd
import pytest
import torch

from hsae.artifacts.index import Layer
from hsae.artifacts.latents_file import check_latents
from hsae.artifacts.strangers_json import check_plain
from hsae.hierarchy import Taxonomy
from hsae.report.inputs import LabelledActivations, LayerInputs, Surroundings
from hsae.report.layer import report_layer
from hsae.sae.model import SparseAutoencoder

# tabby, Persian cat, Siamese cat, beagle, German shepherd, fire engine
CLASSES = ("n02123045", "n02123394", "n02123597", "n02088364", "n02106662", "n03345487")
D = len(CLASSES)
CAT = "n02121808"


def one_hot_activations(tokens: int = 1, per_class: int = 6) -> LabelledActivations:
    """x is 1 at the coordinate of the class, on the last token; a little noise elsewhere."""
    labels = torch.arange(D).repeat_interleave(per_class)
    x = 0.01 * torch.randn(len(labels), tokens, D)
    x[torch.arange(len(labels)), -1, labels] += 1
    return LabelledActivations(x, labels)


def cat_sae() -> SparseAutoencoder:
    """Latents: any cat, the fire engine, nothing."""
    sae = SparseAutoencoder(D, 3, "relu")
    with torch.no_grad():
        sae.W_enc[:3, 0] = 1
        sae.W_enc[5, 1] = 1
        sae.b_enc.copy_(torch.tensor([-0.5, -0.5, -100]))
        sae.W_dec.copy_(torch.nn.functional.normalize(sae.W_enc.T + 1e-3, dim=-1))
    return sae.requires_grad_(False)


def report(sae=None, data=None, around=None):
    data = data or one_hot_activations()
    inputs = LayerInputs(sae or cat_sae(), data, data, Taxonomy(CLASSES), around=around or Surroundings())
    return report_layer(inputs, data.x[:4])


@pytest.mark.parametrize("tokens", [1, 3])
def test_the_planted_classes_are_found(tokens):
    found = report(data=one_hot_activations(tokens))
    cat, engine, silent = found.latents.itertuples()
    assert (cat.lch, cat.n_classes, cat.coverage, cat.best_node, cat.label) == (CAT, 3, 1.0, CAT, "domestic cat")
    assert (engine.n_classes, engine.lch_height) == (1, 0)
    assert (silent.n_classes, silent.dead, silent.label) == (0, True, "silent")
    assert pd.isna(silent.lch)
    assert cat.label_entropy == pytest.approx(np.log(3), abs=0.01)
    assert cat.frequency == pytest.approx(0.5 / tokens)  # of tokens
    assert set(found.top_heldout.images[0]) <= set(range(18))
    assert found.curves["acc1_x"] == 1.0 if tokens == 1 else found.curves["acc1_x"] > 0.3
    assert (found.curves["n_unassigned"], found.curves["n_single_class"], found.curves["n_multi_class"]) == (1, 1, 1)


def test_looks_and_neurons_fill_their_columns():
    data = one_hot_activations()
    around = Surroundings(neurons=torch.eye(D), embeddings=data.x[:, 0])
    found = report(data=data, around=around)
    assert found.latents.neuron[1] == 5
    assert found.latents.neuron_cosine[1] == pytest.approx(1)
    assert found.latents.monosemanticity[1] > 0.99 > found.latents.monosemanticity[0]
    assert found.curves["monosemanticity_chance"] < 0.3
    assert "neuron" not in report().latents


def test_what_chance_gives_stands_beside_looks_and_cosines():
    data = one_hot_activations()
    curves = report(data=data, around=Surroundings(embeddings=data.x[:, 0])).curves
    assert curves["monosemanticity_chance"] < curves["monosemanticity_random"] <= 1  # they know of one class each, too
    assert 0 <= curves["decoder_abs_cosine"] <= 1
    assert curves["decoder_abs_cosine_chance"] is not None
    assert "monosemanticity_random" not in report().curves


def test_the_sparsity_of_planted_latents():
    curves = report().curves
    assert curves["population_sparsity"] == pytest.approx((1 / 2 + 1 / 6 + 0) / 3)
    assert curves["lifetime_sparsity"] == pytest.approx((1 / 2 + 1 / 6) / 2)
    assert curves["n_dead"] == 1
    assert curves["near_zero"] == pytest.approx(1 - curves["population_sparsity"])


def test_the_report_fits_the_artifact_format():
    found = report(around=Surroundings(neurons=torch.eye(D), embeddings=one_hot_activations().x[:, 0]))
    check_plain(found.curves, "curves.json")
    check_latents(found.latents, Layer("block_01", D, 3), D)


def test_an_all_dead_layer_has_a_report():
    sae = cat_sae()
    sae.b_enc.fill_(-100)
    data = one_hot_activations()
    found = report(sae, around=Surroundings(torch.eye(D), data.x[:, 0]))
    assert found.latents.dead.all()
    assert found.curves["dead"] == 1
    assert found.curves["median_height"] is None
    check_plain(found.curves, "curves.json")
    check_latents(found.latents, Layer("block_01", D, 3), D)


def test_one_image_and_images_without_labels_have_a_report():
    data = one_hot_activations()
    one = LabelledActivations(data.x[:1], data.labels[:1])
    unlabelled = LabelledActivations(data.x, torch.where(data.labels < 2, -1, data.labels))
    for heldout in (one, unlabelled):
        found = report_layer(LayerInputs(cat_sae(), data, heldout, Taxonomy(CLASSES)), data.x[:1])
        check_plain(found.curves, "curves.json")
        check_latents(found.latents, Layer("block_01", D, 3), D)

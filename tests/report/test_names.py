"""A layer's names come from the largest score over an image's tokens, and only labelled images count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hsae.activations.labels import Labels, write_labels
from hsae.activations.store import ActivationStore
from hsae.errors import InputError, LabelError
from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import NameRule
from hsae.report.names import LabelledImages, labelled_images, name_layer, split_images
from tests.measures.wordnet.labelled_scores import CATS, CLASSES, DOG
from tests.synthetic import write_store
from tests.tiny_models import random_sae

TAXONOMY = Taxonomy(CLASSES)
RULE = NameRule(permutations=2000)


def store(folder, x, wnids, labels) -> ActivationStore:
    """A store of activations x whose labels are places in `wnids`."""
    write_store(folder, {"block_01": x}, shard_rows=50)
    write_labels(folder, Labels(tuple(wnids), torch.as_tensor(labels), "given"))
    return ActivationStore(folder)


def layer_images(folder, seed, *, signal=6.0, a_class=20, tokens=3) -> LabelledImages:
    """Two stores with classes of their own; one token of every image of a cat is far out in dimension 0."""
    generator = torch.Generator().manual_seed(seed)
    stores = []
    for part, wnids in enumerate((CLASSES[:6], CLASSES[4:])):
        labels = torch.arange(len(wnids)).repeat(a_class)
        x = torch.randn(len(labels), tokens, 8, generator=generator)
        cats = torch.tensor([wnids[label] in CATS for label in labels])
        x[cats, torch.arange(len(labels))[cats] % tokens, 0] += signal
        labels[::19] = -1
        stores.append(store(folder / f"{seed}-{part}", x, wnids, labels))
    return labelled_images(stores, TAXONOMY)


def test_scores_are_the_largest_over_tokens_of_labelled_images(tmp_path, monkeypatch):
    images = layer_images(tmp_path, 0)
    x = torch.cat([part.layer("block_01") for part in images.stores])
    labels = torch.cat([part.labels for part in images.stores])
    W = torch.randn(8, 5)
    expected = (x @ W).amax(1)[labels >= 0].numpy()
    whole = images.scores("block_01", lambda x: x @ W, 5)
    np.testing.assert_allclose(whole.scores, expected, atol=1e-5)
    wnids = [part.classes[label] for part in images.stores for label in part.labels if label >= 0]
    assert [CLASSES[label] for label in whole.labels] == wnids
    monkeypatch.setattr("hsae.report.names._CELLS", 1)
    np.testing.assert_allclose(images.scores("block_01", lambda x: x @ W, 5).scores, expected, atol=1e-5)
    some = images.subset(np.arange(3, len(whole.labels), 7))
    np.testing.assert_allclose(some.scores("block_01", lambda x: x @ W, 5).scores, expected[3::7], atol=1e-5)
    tokens = images.tokens("block_01")
    assert tokens.shape == (len(whole.labels), 8)
    assert torch.equal(tokens[1], images.stores[0].shard(0, "block_01")[2, 1])  # the first image has no label


def test_classes_outside_the_taxonomy_are_refused(tmp_path):
    other = store(tmp_path / "other", torch.randn(4, 1, 8), [DOG], [0, 0, 0, 0])
    with pytest.raises(LabelError, match=DOG):
        labelled_images([other], TAXONOMY)


def test_images_that_cannot_be_split_are_refused(tmp_path):
    unlabelled = store(tmp_path / "none", torch.randn(3, 1, 8), CLASSES[:1], [-1, -1, -1])
    with pytest.raises(InputError, match="3 images without labels"):
        labelled_images([unlabelled], TAXONOMY)
    single = labelled_images([store(tmp_path / "one", torch.randn(3, 1, 8), CLASSES[:3], [0, 1, 2])], TAXONOMY)
    with pytest.raises(InputError, match="each of another class"):
        split_images(single, single, 0.25, 0)


def test_a_planted_latent_is_named_beside_random_directions(tmp_path):
    sae = random_sae(0, d_in=8, d_sae=12)
    with torch.no_grad():
        sae.W_enc[:, 4] = torch.eye(8)[0]
    splits = split_images(layer_images(tmp_path, 1), layer_images(tmp_path, 2), 0.25, seed=0)
    assert splits.counts["confirm"] == pytest.approx(splits.counts["choice"] / 3, rel=0.2)
    assert not np.intersect1d(splits.choice.images, splits.confirm.images).size
    named = name_layer(sae, "block_01", splits, RULE)
    assert named.columns.named[4] == 1
    assert named.columns.node[4] == TAXONOMY.lch(CATS)
    assert named.numbers["n_named"] == (named.columns.named == 1).sum()
    assert named.numbers["median_precision"] > 0.5
    assert named.numbers["random"].keys() == named.numbers.keys() - {"random"}
    blank = split_images(layer_images(tmp_path, 3, signal=0), layer_images(tmp_path, 4, signal=0), 0.25, seed=0)
    nothing = name_layer(sae, "block_01", blank, RULE)
    assert nothing.numbers["n_named"] == 0  # control
    assert nothing.numbers["median_precision"] is None


def test_a_dead_latent_is_not_named(tmp_path):
    """Its pre-activation tells cats as well as before, but it never fires."""
    sae = random_sae(0, d_in=8, d_sae=12)
    with torch.no_grad():
        sae.W_enc[:, 4] = torch.eye(8)[0]
        sae.b_enc[4] = -1e4
    splits = split_images(layer_images(tmp_path, 1), layer_images(tmp_path, 2), 0.25, seed=0)
    named = name_layer(sae, "block_01", splits, RULE)
    assert named.columns.named[4] == 0
    assert named.columns.node.isna()[4]


def test_confirm_images_choose_nothing(tmp_path):
    """Without a sign in the confirm images, what was chosen is the same and is refused."""
    sae = random_sae(0, d_in=8, d_sae=12)
    with torch.no_grad():
        sae.W_enc[:, 4] = torch.eye(8)[0]
    splits = split_images(layer_images(tmp_path, 1), layer_images(tmp_path, 2), 0.25, seed=0)
    spoiled = np.random.default_rng(0).permutation(splits.confirm.labels)
    whole = name_layer(sae, "block_01", splits, RULE).columns
    spoilt = replace(splits, confirm=replace(splits.confirm, labels=spoiled))
    refused = name_layer(sae, "block_01", spoilt, RULE).columns
    assert refused.node.equals(whole.node)
    assert refused.node_threshold.equals(whole.node_threshold)
    assert (whole.named[4], refused.named[4]) == (1, 0)

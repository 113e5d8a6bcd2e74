"""k-sparse probes find what k latents know together, and nothing in noise."""

from __future__ import annotations

import numpy as np
import pytest

from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import LabelledScores
from hsae.measures.wordnet.sparse_probing import RIDGE, sparse_probing
from tests.measures.wordnet.labelled_scores import CLASSES, DOG, noise, planted

TAXONOMY = Taxonomy(CLASSES)
MEMBERS = TAXONOMY.members[[TAXONOMY.position(DOG)]]


def test_one_planted_latent_is_enough_and_noise_is_chance():
    found = sparse_probing(MEMBERS, planted(TAXONOMY, [DOG], 0, strength=6), planted(TAXONOMY, [DOG], 1, strength=6))
    assert found[0, 0] > 0.95
    chance = sparse_probing(MEMBERS, noise(2, a_class=200), noise(3, a_class=200))
    np.testing.assert_allclose(chance, 0.5, atol=0.06)


def test_several_weak_latents_know_more_than_one():
    choice, test = noise(0, n=10, a_class=100), noise(1, n=10, a_class=100)
    for data in (choice, test):
        data.scores[MEMBERS[0][data.labels], :5] += 1
    found = sparse_probing(MEMBERS, choice, test, ks=(1, 5))
    assert found[0, 1] > found[0, 0] + 0.1


def test_it_equals_least_squares_written_out():
    choice, test = planted(TAXONOMY, [DOG], 0, n=4, strength=1), planted(TAXONOMY, [DOG], 1, n=4, strength=1)
    truth, asked = MEMBERS[0][choice.labels], MEMBERS[0][test.labels]
    standard = [(part.scores - choice.scores.mean(0)) / choice.scores.std(0) for part in (choice, test)]
    gaps = np.abs(standard[0][truth].mean(0) - standard[0][~truth].mean(0))
    two = np.argsort(-gaps)[:2]
    weight = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum())
    rows = np.column_stack([standard[0][:, two], np.ones(len(truth))]) * np.sqrt(weight)[:, None]
    rows = np.vstack([rows, np.column_stack([np.sqrt(RIDGE) * np.eye(2), np.zeros(2)])])
    target = np.concatenate([np.where(truth, 1, -1) * np.sqrt(weight), np.zeros(2)])
    w = np.linalg.lstsq(rows, target)[0]
    yes = standard[1][:, two] @ w[:2] + w[2] > 0
    expected = (yes[asked].mean() + (~yes[~asked]).mean()) / 2
    assert sparse_probing(MEMBERS, choice, test, ks=(2,))[0, 0] == pytest.approx(expected)


def test_test_images_fit_nothing():
    """Whatever a test image scores, the others are judged as before: only the mean over images changes."""
    choice, test = planted(TAXONOMY, [DOG], 0, strength=6), planted(TAXONOMY, [DOG], 1, strength=6)
    truth = MEMBERS[0][test.labels]
    perfect = LabelledScores(np.where(truth[:, None], 99, -99) * np.ones_like(test.scores), test.labels)
    assert sparse_probing(MEMBERS, choice, perfect)[0, 0] == 1
    reversed_scores = LabelledScores(-perfect.scores, test.labels)
    assert sparse_probing(MEMBERS, choice, reversed_scores)[0, 0] == 0

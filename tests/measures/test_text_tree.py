"""Measures of captions against loops and numbers worked out by hand; a planted tree is found, noise is at chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from hsae.measures.text_tree import (
    Captions,
    cone_scores,
    found,
    order_scores,
    precision_scores,
    text_measures,
)

CHAINS = [np.array([0, 1, 2]), np.array([0, 1, 3]), np.array([0, 4]), np.array([5])]


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def random_captions(seed: int = 0) -> Captions:
    random = np.random.default_rng(seed)
    return Captions(unit(random.normal(size=(6, 5))), unit(random.normal(size=5)), CHAINS)


def test_order_is_kendalls_tau():
    values = np.random.default_rng(0).normal(size=(9, 6))
    found = order_scores(values, CHAINS)
    for row in range(9):
        for number, chain in enumerate(CHAINS[:3]):
            tau = kendalltau(values[row, chain], np.arange(len(chain))).statistic
            assert found[row, number] == pytest.approx(tau)
    assert np.isnan(found[:, 3]).all()
    # By hand: 3, 1, 2 has one rising and two falling pairs.
    assert order_scores(np.array([[3.0, 1, 2, 0, 0, 0]]), CHAINS)[0, 0] == pytest.approx(-1 / 3)


def test_average_precision_of_a_chain_is_worked_out_by_hand():
    similarity = np.array([[0.9, 0.1, 0.5, 0.8, 0.7, 0.6]])  # ranks 1, 6, 5, 2, 3, 4
    scores = precision_scores(similarity, CHAINS)[0]
    np.testing.assert_allclose(scores, [(1 / 1 + 2 / 5 + 3 / 6) / 3, (1 + 2 / 2 + 3 / 6) / 3, (1 + 2 / 3) / 2, 1 / 4])


def found_by_loops(similarity, radii):
    """HierarCaps' retrieval, written as it is told: 50 thresholds, the most similar text within each, each once."""
    step = (max(radii) - min(radii)) / 49
    indices = []
    for similar in similarity:
        own = set()
        for number in range(50):
            threshold = min(radii) + number * step if number < 49 else max(radii)
            within = [i for i in range(len(radii)) if radii[i] <= threshold]
            own.add(max(within, key=lambda i: similar[i]))
        indices.append(own)
    return indices


def test_retrieval_equals_the_loops():
    random = np.random.default_rng(0)
    radii, similarity = random.random(40), random.normal(size=(15, 40))
    ours = [set(np.flatnonzero(row)) for row in found(similarity, radii)]
    assert ours == found_by_loops(similarity, radii.tolist())
    assert all(np.argmin(radii) in own for own in ours)


def test_radii_and_angles_are_worked_out_by_hand():
    root = np.array([1.0, 0, 0])
    texts = np.array([[0.0, 1, 0], [-1.0, 0, 0], [0.0, 0, 1]])
    captions = Captions(texts, root, [np.array([0, 1]), np.array([2])])
    np.testing.assert_allclose(captions.radii, [2**0.5, 2, 2**0.5])
    # Of text 1 from text 0: e - r = (-1, 1, 0), e' - e = (-1, -1, 0), a right angle; from itself there is none.
    # From text 2: (-1, 0, 1) and (-1, 0, -1), a right angle too. Of text 2 from text 0: (-1, 1, 0), (0, -1, 1), 120.
    np.testing.assert_allclose(captions.angles[0], [np.pi / 2, np.pi, np.pi / 2])
    np.testing.assert_allclose(captions.angles[1], [2 * np.pi / 3, 3 * np.pi / 4, np.pi])


def test_angles_and_cones_equal_the_loops():
    captions = random_captions()
    scores = cone_scores(captions)
    for row, own in enumerate(CHAINS):
        last = captions.texts[own[-1]]
        angles = []
        for e in captions.texts:
            out, on = e - captions.root, last - e
            lengths = np.linalg.norm(out) * np.linalg.norm(on)
            angles.append(np.arccos(np.clip(out @ on / lengths, -1, 1)) if lengths > 1e-9 else np.pi)
        np.testing.assert_allclose(captions.angles[row], angles, atol=1e-6)
        for column, chain in enumerate(CHAINS[:3]):
            wins = [
                (angles[a] < angles[s]) + (angles[a] == angles[s]) / 2
                for a in chain[:-1]
                for s in range(6)
                if s not in chain
            ]
            assert scores[row, column] == pytest.approx(np.mean(wins))
    assert np.isnan(scores[:, 3]).all()


def planted(noise: float, seed: int = 0):
    """Eight classes in four families in two kinds, each a step further out from the root; images near their class."""
    random = np.random.default_rng(seed)
    root = unit(random.normal(size=64))
    kinds = root + 0.5 * random.normal(size=(2, 64)) / 8
    families = np.repeat(kinds, 2, 0) + 0.7 * random.normal(size=(4, 64)) / 8
    classes = np.repeat(families, 2, 0) + random.normal(size=(8, 64)) / 8
    texts = unit(np.concatenate([kinds, families, classes]))
    chains = [np.array([c // 4, 2 + c // 2, 6 + c]) for c in range(8)]
    labels = np.arange(80) % 8
    images = unit(unit(classes)[labels] + noise * random.normal(size=(80, 64)) / 8)
    return images, labels, Captions(texts, root, chains)


def test_a_planted_tree_is_found_by_every_measure():
    measured = text_measures(*planted(0.3))
    assert set(measured) == {"path_order", "ancestors_first", "precision", "recall", "depth_correlation", "cones"}
    for name, one in measured.items():
        assert one.value > one.null, name
        assert one.p < 0.02, name
    assert measured["depth_correlation"].value == 1
    assert measured["path_order"].value > 0.9


def test_unrelated_images_and_texts_are_at_chance():
    images, labels, captions = planted(0.3)
    random = np.random.default_rng(1)
    noise = Captions(unit(random.normal(size=captions.texts.shape)), captions.root, captions.chains)
    for name, one in text_measures(unit(random.normal(size=images.shape)), labels, noise).items():
        assert one.p > 0.01, name
    assert text_measures(images, labels, noise)["ancestors_first"].p > 0.01


def test_chains_of_one_have_no_order():
    images, labels, captions = planted(0.3)
    alone = Captions(captions.texts, captions.root, [np.array([6 + c]) for c in range(8)])
    measured = text_measures(images, labels, alone)
    assert measured["path_order"] is measured["depth_correlation"] is measured["cones"] is None
    assert measured["recall"].value > 0.9

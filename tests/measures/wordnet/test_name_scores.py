"""What names tell of photographs, against a loop over photographs and names."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import LabelledScores, NameRule, choose_names, name_score
from tests.measures.wordnet.labelled_scores import CATS, CLASSES, noise, planted

TAXONOMY = Taxonomy(CLASSES)
NODES = [CATS[0], TAXONOMY.lch(CATS), TAXONOMY.lch(["n03345487", "n04389033"]), *CLASSES[3:9]]
CHOSEN = choose_names(TAXONOMY, planted(TAXONOMY, NODES, 1), planted(TAXONOMY, NODES, 2), NameRule(permutations=500))
TEST = planted(TAXONOMY, NODES, 3, strength=2)


def test_by_hand():
    names = sorted(np.flatnonzero(CHOSEN.named), key=lambda latent: -CHOSEN.worth[latent])
    assert len(names) == len(NODES)
    said, true, first_bits, best_bits = 0, 0, 0.0, 0.0
    for scores, label in zip(TEST.scores, TEST.labels, strict=True):
        bits = []
        for latent in names:
            if scores[latent] >= CHOSEN.threshold[latent]:
                row = TAXONOMY.members[CHOSEN.node[latent]]
                bits.append(math.log2(1 / row[TEST.labels].mean()) if row[label] else None)
        said += bool(bits)
        true += bits[:1] not in ([], [None])
        first_bits += (bits[:1] or [0])[0] or 0
        best_bits += max([value for value in bits[:5] if value], default=0)
    score, n = name_score(CHOSEN, TEST), len(TEST.labels)
    found = (score.said, score.first_true, score.first_bits, score.best_bits)
    assert found == pytest.approx((said / n, true / n, first_bits / n, best_bits / n))
    assert 0 < score.first_true < score.said < 1
    assert score.first_bits < score.best_bits


def test_names_are_ordered_by_what_they_tell_on_confirm_images():
    """Precision (with one more image at chance) x bits: the single class before the three cats it is one of."""
    found = CHOSEN.confirmed
    assert CHOSEN.worth[0] == pytest.approx((found.hits[0] + 1 / 16) / (found.said[0] + 1) * 4)
    assert CHOSEN.worth[0] > CHOSEN.worth[1]


def test_without_names_nothing_is_said():
    silent = replace(CHOSEN, named=np.zeros_like(CHOSEN.named))
    score = name_score(silent, TEST)
    assert (score.said, score.first_true, score.first_bits, score.best_bits) == (0, 0, 0, 0)


def test_the_parts_in_which_it_is_counted_do_not_show(monkeypatch):
    whole = name_score(CHOSEN, TEST)
    monkeypatch.setattr("hsae.measures.wordnet.name_scores._IMAGES", 7)
    assert name_score(CHOSEN, TEST) == whole


def test_noise_says_little_that_is_true():
    score = name_score(CHOSEN, noise(9))
    assert score.first_bits < 0.25 < name_score(CHOSEN, TEST).first_bits


def test_without_images_there_is_no_score():
    with pytest.raises(InputError, match="no image"):
        name_score(CHOSEN, LabelledScores(np.zeros((0, 40), np.float32), np.zeros(0, int)))

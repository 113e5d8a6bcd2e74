"""Names: planted ones are given, noise gets none beyond what q promises, and test images decide nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import LabelledScores, NameRule, choose_names, name_columns, name_latents
from hsae.measures.wordnet.names import random_precisions
from hsae.report.columns import COLUMNS
from tests.measures.wordnet.labelled_scores import CATS, CLASSES, balanced_labels, noise, planted
from tests.measures.wordnet.test_nodes import ap_gain, mcc_of

TAXONOMY = Taxonomy(CLASSES)
NODES = [CATS[0], TAXONOMY.lch(CATS), TAXONOMY.lch(["n03345487", "n04389033"])]
RULE = NameRule(permutations=500)
PARTS = [planted(TAXONOMY, NODES, seed) for seed in (1, 2, 3)]


def test_planted_names_are_given_and_noise_has_none():
    table = name_latents(TAXONOMY, *PARTS, RULE)
    assert table.node[:3].tolist() == NODES
    assert table.named.tolist() == [1, 1, 1] + [0] * 37
    assert (table.node_precision[:3] > 0.7).all()
    assert (table.node_ap_gain[:3] > 0.7).all()
    assert table.node_ap_gain[3:].abs().max() < 0.3


def test_the_columns_are_those_of_the_artifact():
    later = [column.name for column in COLUMNS if column.later]
    table = name_latents(TAXONOMY, *PARTS, RULE)
    assert list(table.columns) == [name for name in later if name == "named" or name.startswith("node")]
    assert table.node_threshold.dtype == np.float32  # a score compares with it as it did on the choice images


def test_test_numbers_are_those_of_the_definitions():
    chosen = choose_names(TAXONOMY, *PARTS[:2], RULE)
    test = PARTS[2]
    table = name_columns(chosen, test)
    for latent, row in table.iterrows():
        scores, members = test.scores[:, latent], TAXONOMY.members[TAXONOMY.position(row.node)]
        under, said = members[test.labels], scores >= row.node_threshold
        assert row.node_ap_gain == pytest.approx(ap_gain(scores.tolist(), under.tolist()))
        assert row.node_mcc == pytest.approx(mcc_of(said.tolist(), under.tolist()), abs=1e-9)
        assert row.node_recall == (under & said).sum() / under.sum()
        if said.any():
            assert row.node_precision == (under & said).sum() / said.sum()
            assert row.node_lift == pytest.approx(row.node_precision / under.mean())


def test_test_images_decide_nothing_and_confirm_images_choose_no_node():
    choice, confirm, test = PARTS
    whole = name_latents(TAXONOMY, *PARTS, RULE)
    other = name_latents(TAXONOMY, choice, confirm, noise(9), RULE)
    decided = ["node", "node_threshold", "node_p", "node_q", "named"]
    pd.testing.assert_frame_equal(whole[decided], other[decided])
    refused = name_latents(TAXONOMY, choice, noise(9), test, RULE)
    same = ["node", "node_threshold", "node_ap_gain", "node_mcc", "node_precision", "node_recall", "node_lift"]
    pd.testing.assert_frame_equal(whole[same], refused[same])
    assert refused.named.sum() == 0  # what was planted on the choice images alone is not confirmed


def test_noise_is_named_no_more_often_than_q_promises():
    """With precision and lift left out, 5 % of 60 layers of noise may have a name: 3, rarely more than 8."""
    rule = NameRule(min_precision=0, min_lift=0, permutations=2000)
    named = [
        choose_names(TAXONOMY, noise(seed, a_class=6), noise(seed + 1000, a_class=6), rule).named.any()
        for seed in range(60)
    ]
    assert sum(named) <= 8
    p = choose_names(TAXONOMY, noise(5, n=400), noise(6, n=400), rule).p
    assert 0.4 < p.mean() < 0.6  # control: the p-values are neither all large nor all small


def test_equal_scores_are_no_evidence():
    """A constant latent, and one that says everything of two halves at random, have p-values like any noise."""
    random = np.random.default_rng(0)
    choice, confirm = (
        replace(noise(seed), scores=random.integers(0, 2, (320, 300)).astype(np.float32)) for seed in (1, 2)
    )
    p = choose_names(TAXONOMY, choice, confirm, RULE).p
    assert 0.4 < np.nanmean(p) < 0.6
    assert (p < 0.1).mean() < 0.2
    constant = replace(choice, scores=np.ones((320, 1), np.float32))
    table = name_latents(TAXONOMY, constant, constant, constant, RULE)
    assert table.node.isna().all()
    assert table.drop(columns=["node", "named"]).isna().all(axis=None)
    assert table.named.tolist() == [0]


def test_a_node_without_confirm_or_test_images_is_refused_or_unknown():
    def without(data: LabelledScores, wnids: tuple[str, ...]) -> LabelledScores:
        kept = ~np.isin(data.labels, [CLASSES.index(wnid) for wnid in wnids])
        return LabelledScores(data.scores[kept], data.labels[kept])

    choice, confirm, test = PARTS
    rule = replace(RULE, permutations=2000)  # one name among 38 latents needs a p of 0.0013
    table = name_latents(TAXONOMY, choice, without(confirm, CATS), test, rule)
    assert table.named[:3].tolist() == [0, 0, 1]
    assert table.node_p[:3].isna().tolist() == [True, True, False]
    assert table.node_precision[0] > 0.7  # it is still described
    table = name_latents(TAXONOMY, choice, confirm, without(test, CATS), RULE)
    assert table.named[:3].tolist() == [1, 1, 1]
    for name in ("node_ap_gain", "node_mcc", "node_precision", "node_recall", "node_lift"):
        assert table[name][:3].isna().tolist() == [True, True, False]


def test_gains_stay_in_the_range_of_the_column_whatever_the_test_images_are():
    """Nine of ten test images are cats, and the latent of cats scores them lowest."""
    labels = np.array([0] * 90 + [5] * 10)
    scores = np.linspace(-1, 1, 100)[:, None].repeat(40, axis=1).astype(np.float32)
    table = name_latents(TAXONOMY, *PARTS[:2], LabelledScores(scores, labels), RULE)
    assert table.node_ap_gain[:2].tolist() == [-1, -1]
    chosen = choose_names(TAXONOMY, *PARTS[:2], RULE)
    under = (labels == 0).tolist()
    assert ap_gain(scores[:, 0].tolist(), under) < -1
    assert chosen.node[0] == TAXONOMY.position(CATS[0])


def test_random_precisions_are_those_of_shuffled_labels():
    null = random_precisions(30, (1, 7), 4000, 0)
    random, ranks = np.random.default_rng(1), np.arange(1, 31)
    shuffled = []
    for _ in range(4000):
        places = np.sort(random.choice(ranks, 7, replace=False))
        shuffled.append((np.arange(1, 8) / places).mean())
    np.testing.assert_allclose(null[7].mean(), np.mean(shuffled), atol=0.01)
    np.testing.assert_allclose(np.quantile(null[7], [0.1, 0.9]), np.quantile(shuffled, [0.1, 0.9]), atol=0.02)
    assert set(null[1].round(9)) <= set((1 / ranks).round(9))


@pytest.mark.parametrize("changed", [{"min_precision": 0.99}, {"min_lift": 40}, {"alpha": 1e-4}])
def test_every_number_of_the_rule_counts(changed):
    chosen = choose_names(TAXONOMY, *PARTS[:2], RULE)
    stricter = choose_names(TAXONOMY, *PARTS[:2], replace(RULE, **changed))
    assert chosen.named.sum() == 3
    assert stricter.named.sum() < 3


def test_images_that_allow_no_node_are_refused():
    one = LabelledScores(np.random.default_rng(0).random((40, 2), np.float32), np.zeros(40, int))
    with pytest.raises(InputError, match="40 choice images of 1 classes"):
        choose_names(TAXONOMY, one, one, RULE)
    with pytest.raises(InputError, match=r"alpha 0, min_lift -1"):
        NameRule(alpha=0, min_lift=-1)


def test_labels_are_balanced():
    assert np.bincount(balanced_labels(0)).tolist() == [20] * len(CLASSES)


def test_a_latent_that_never_fires_on_the_choice_images_has_no_name():
    fires = np.ones(40, dtype=bool)
    fires[1] = False
    chosen = choose_names(TAXONOMY, *PARTS[:2], RULE, fires)
    table = name_columns(chosen, PARTS[2])
    assert table.named[:3].tolist() == [1, 0, 1]
    assert table.loc[1, ["node", "node_threshold", "node_precision", "node_q", "node_worth"]].isna().all()
    assert choose_names(TAXONOMY, *PARTS[:2], RULE).named[1]  # control


def test_what_a_name_is_worth_is_stored_and_no_test_image_changes_it():
    chosen = choose_names(TAXONOMY, *PARTS[:2], RULE)
    tables = [name_columns(chosen, test) for test in (PARTS[2], noise(9))]
    assert tables[0].node_worth.equals(tables[1].node_worth)
    np.testing.assert_array_equal(tables[0].node_worth, chosen.worth)
    assert not tables[0].node_precision.equals(tables[1].node_precision)  # control

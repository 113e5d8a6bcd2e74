"""The scoreboard finds planted nodes, gives noise nothing, and equals its definitions written out as loops."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from hsae.errors import InputError
from hsae.hierarchy import MISSING, Taxonomy
from hsae.measures.wordnet import LabelledScores
from hsae.measures.wordnet.node_bootstrap import resampled_counts, resampled_node_ap
from hsae.measures.wordnet.node_pairs import owning_latents, pair_nodes
from hsae.measures.wordnet.nodes import NodeFits
from hsae.measures.wordnet.purity import purity
from hsae.measures.wordnet.scoreboard import BANDS, choose_latents, recovery, score_nodes, scored_nodes
from tests.measures.wordnet.labelled_scores import CATS, CLASSES, DOG, noise, planted
from tests.measures.wordnet.test_nodes import ap_gain, best_mcc, mcc_of

TAXONOMY = Taxonomy(CLASSES)
NODES = [*CATS, DOG, "n02066245"]


def column(data: LabelledScores, latent: int) -> list[float]:
    return data.scores[:, latent].tolist()


def under(data: LabelledScores, node: int) -> list[bool]:
    return TAXONOMY.members[node][data.labels].tolist()


def test_planted_nodes_are_owned_and_noise_owns_none():
    choice, test = planted(TAXONOMY, NODES, 0, strength=8), planted(TAXONOMY, NODES, 1, strength=8)
    chosen = choose_latents(TAXONOMY, choice)
    found = score_nodes(chosen, test)
    places = [chosen.node.tolist().index(TAXONOMY.position(node)) for node in NODES]
    assert chosen.owning.latent[places].tolist() == [0, 1, 2, 3, 4]
    assert chosen.ranking.latent[places].tolist() == [0, 1, 2, 3, 4]
    assert found["owned_50"] == len(NODES)
    assert found["nodes_50"] >= found["owned_50"]
    nothing = score_nodes(choose_latents(TAXONOMY, noise(2)), noise(3))
    assert nothing["owned_30"] == nothing["nodes_30"] == 0
    assert abs(nothing["node_ap"]) < 0.05 < found["node_ap"]


def test_one_latent_for_two_nodes_owns_one():
    """A latent of all dogs is also the best that there is of each single dog."""
    chosen = choose_latents(TAXONOMY, planted(TAXONOMY, [DOG], 0, n=1, strength=8))
    found = score_nodes(chosen, planted(TAXONOMY, [DOG], 1, n=1, strength=8))
    assert found["nodes_50"] > 1
    assert found["owned_50"] == 1


@pytest.mark.slow
def test_every_number_equals_its_definition():
    choice, test = planted(TAXONOMY, NODES, 0, n=8, strength=2), planted(TAXONOMY, NODES, 1, n=8, strength=2)
    chosen = choose_latents(TAXONOMY, choice)
    kept = chosen.node[scored_nodes(chosen, test)]
    gains, mccs = {}, []
    for node in kept:
        truth = under(choice, node), under(test, node)
        gain = [ap_gain(column(choice, i), truth[0]) for i in range(8)]
        gains[node] = ap_gain(column(test, int(np.argmax(gain))), truth[1])
        tries = [best_mcc(column(choice, i), truth[0], 5) for i in range(8)]
        latent = int(np.argmax([m for m, _ in tries]))
        mccs.append(mcc_of([s >= max(tries[latent][1]) for s in column(test, latent)], truth[1]))
    found = score_nodes(chosen, test)
    assert found["n_nodes"] == len(kept)
    assert found["node_ap"] == pytest.approx(np.mean(list(gains.values())), abs=1e-6)
    for name, (low, high) in BANDS.items():
        band = [gain for node, gain in gains.items() if low <= TAXONOMY.heights[node] <= high]
        assert found[f"node_ap_{name}"] == pytest.approx(np.mean(band), abs=1e-6)
    assert found["nodes_30"] == sum(m >= 0.3 for m in mccs)


def test_the_assignment_is_the_best_of_all():
    mcc = np.random.default_rng(0).uniform(-0.2, 1, (5, 4)).astype(np.float32)
    owner = owning_latents(NodeFits(mcc, mcc))
    best = max(permutations(range(5), 4), key=lambda order: sum(max(mcc[i, j], 0) for j, i in enumerate(order)))
    assert owner.tolist() == list(best)
    few = owning_latents(NodeFits(mcc[:2], mcc[:2]))
    assert (few == MISSING).sum() == 2
    with pytest.raises(InputError, match="one each"):
        pair_nodes(TAXONOMY, np.arange(3), np.arange(2), noise(0))


def test_test_images_decide_nothing():
    chosen = choose_latents(TAXONOMY, planted(TAXONOMY, NODES, 0))
    before = chosen.owning.latent.copy(), chosen.owning.threshold.copy()
    score_nodes(chosen, planted(TAXONOMY, NODES[::-1], 1, strength=9))
    np.testing.assert_array_equal(chosen.owning.latent, before[0])
    np.testing.assert_array_equal(chosen.owning.threshold, before[1])


def test_resampled_node_ap_is_that_of_the_images_drawn():
    """Each draw is the NodeAP of a data set in which every image stands as often as it was drawn, ties included."""
    chosen = choose_latents(TAXONOMY, planted(TAXONOMY, NODES, 0, n=8, strength=2))
    test = planted(TAXONOMY, NODES, 1, n=8, strength=2)
    test = LabelledScores(np.round(test.scores, 1), test.labels)
    found, times = resampled_node_ap(chosen.ranking, test, draws=3), resampled_counts(len(test.labels), 3, seed=0)
    for draw in range(3):
        rows = np.repeat(np.arange(len(test.labels)), times[:, draw])
        drawn = LabelledScores(test.scores[rows], test.labels[rows])
        pairs = zip(chosen.ranking.node, chosen.ranking.latent, strict=True)
        gains = [ap_gain(column(drawn, i), under(drawn, node)) for node, i in pairs if any(under(drawn, node))]
        assert found[draw] == pytest.approx(np.mean(gains), abs=1e-5)
    assert len(set(found)) == 3


def test_purity_is_the_share_of_the_strongest():
    test = planted(TAXONOMY, [DOG], 0, n=3, strength=20)
    node = np.array([TAXONOMY.position(DOG), TAXONOMY.position(CATS[0]), MISSING])
    found = purity(TAXONOMY, node, test)
    strongest = np.argsort(-test.scores[:, 1], kind="stable")[:16]
    assert found[0] == 1
    assert found[1] == np.mean([under(test, node[1])[image] for image in strongest])
    assert np.isnan(found[2])


def test_recovery_is_0_at_random_and_1_at_probes():
    assert recovery(0.1, 0.1, 0.5) == 0
    assert recovery(0.5, 0.1, 0.5) == 1
    assert recovery(0.05, 0.1, 0.5) < 0
    assert recovery(0.2, 0.5, 0.5) is None

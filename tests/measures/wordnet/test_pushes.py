"""A direction pushes towards the node whose classes it raises together, and a random one mostly towards none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.hierarchy import Taxonomy
from hsae.measures.probes import LinearProbe
from hsae.measures.wordnet.pushes import Pushes, push_scores

CLASSES = (
    "n02085620", "n02086240", "n02099712", "n02113712",  # chihuahua, Shih-Tzu, Labrador, poodle
    "n02123045", "n02124075", "n02123394",  # tabby, Egyptian cat, Persian cat
    "n04285008", "n02814533", "n03417042", "n02701002",  # sports car, beach wagon, garbage truck, ambulance
    "n07753592", "n07747607", "n03793489", "n03085013",  # banana, orange, mouse, keyboard
)  # fmt: skip
DOG, CAT, CAR = "n02084071", "n02121808", "n02958343"
N = len(CLASSES)


@pytest.fixture(scope="module")
def pushes() -> Pushes:
    """A probe that reads every class from a dimension of its own."""
    taxonomy = Taxonomy(CLASSES)
    probe = LinearProbe(torch.eye(N), torch.zeros(N), torch.zeros(N), torch.ones(N))
    return Pushes.of(probe, taxonomy.nodes, taxonomy.members)


def towards(*positions: int, amount: float = 1.0) -> torch.Tensor:
    direction = torch.zeros(N)
    direction[list(positions)] = amount
    return direction


def test_a_direction_is_called_by_the_node_above_all_that_it_raises(pushes):
    assert pushes.towards(towards(0, 1, 2, 3)) == [DOG]
    assert pushes.towards(towards(4, 5, 6))[0] == CAT
    assert pushes.towards(towards(2)) == [CLASSES[2]], "the class, and no lone branch above it"
    assert pushes.towards(towards(0, 1, 2, 3, amount=-1.0)) != [DOG]
    assert pushes.towards(torch.zeros(N)) == []


def test_of_two_nodes_none_is_above_the_other(pushes):
    found = pushes.towards(towards(0, 1, 2, 3) + 0.9 * towards(7, 8, 10), most=5)
    taxonomy = Taxonomy(CLASSES)
    rows = taxonomy.members[[taxonomy.position(node) for node in found]]
    assert DOG in found
    assert rows.sum(0).max() == 1


def test_one_random_direction_in_twenty_pushes_anywhere(pushes):
    generator = torch.Generator().manual_seed(7)
    some = [bool(pushes.towards(torch.randn(N, generator=generator))) for _ in range(600)]
    assert 0.02 < np.mean(some) < 0.09


def test_the_score_is_students(pushes):
    pushed = torch.randn(N, generator=torch.Generator().manual_seed(1))
    members = torch.tensor([[at < 4 for at in range(N)]])
    apart = pushed[:4].mean() - pushed[4:].mean()
    expected = apart / (pushed.std() * (1 / 4 + 1 / (N - 4)) ** 0.5)
    assert push_scores(pushed, members).item() == pytest.approx(expected.item(), rel=1e-5)


def test_without_a_node_that_tells_classes_apart_there_is_nothing_to_push_towards():
    taxonomy = Taxonomy(CLASSES[:1])
    probe = LinearProbe(torch.ones(3, 1), torch.zeros(1), torch.zeros(3), torch.ones(3))
    assert Pushes.of(probe, taxonomy.nodes, taxonomy.members).towards(torch.ones(3)) == []

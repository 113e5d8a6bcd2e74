"""A turn moves the latents that tell most, and counts as held only where its controls do much less."""

from __future__ import annotations

import pytest
import torch

from hsae.errors import InputError
from hsae.measures.probes import LinearProbe
from hsae.steering.edits import Op
from hsae.steering.turning import MOST, RAISED, Moved, Turn, held, node_direction, turning_ops

DOG, CAT = "n02084071", "n02121808"
#                       brings   no unit  small    against   carries
SPEAKS = torch.tensor([2.0, 3.0, 1.0, -4.0, 0.5])
ACTIVE = torch.tensor([[0.0, 0.0, 0.0, 1.0, 9.0]])
UNITS = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0])


def test_the_direction_of_a_node_is_the_mean_of_its_classes_less_that_of_the_others():
    probe = LinearProbe(
        torch.tensor([[1.0, 3.0, 5.0], [2.0, 2.0, 8.0]]), torch.zeros(3), torch.zeros(2), torch.tensor([1.0, 2.0]), 0.5
    )
    direction = node_direction(probe, torch.tensor([True, True, False]))
    assert direction.tolist() == [2.0 - 5.0, (2.0 - 8.0) / 2.0]
    with pytest.raises(InputError, match="3 of 3 classes"):
        node_direction(probe, torch.ones(3, dtype=torch.bool))


def test_bringing_raises_what_speaks_most_per_unit_and_never_what_speaks_against():
    ops = turning_ops(Turn(more=DOG), {DOG: SPEAKS}, ACTIVE, UNITS, 2.0)
    assert ops == (Op(0, "add", 2.0), Op(2, "add", 2.0), Op(4, "add", 2.0))


def test_taking_lowers_only_what_is_active_and_speaks_for_it():
    assert turning_ops(Turn(less=DOG), {DOG: SPEAKS}, ACTIVE, UNITS, 2.0) == (Op(4, "add", -2.0),)
    assert turning_ops(Turn(less=DOG), {DOG: SPEAKS}, torch.zeros(1, 5), UNITS, 2.0) == ()


def test_lowering_counts_no_more_than_there_is_of_a_latent():
    """Off at 9 x .5 against 1 x 2: by a small amount the steep one loses more, by a large one the strong one."""
    speaks, z, units = torch.tensor([0.5, 2.0]), torch.tensor([[9.0, 1.0]]), torch.ones(2)
    first = [turning_ops(Turn(less=DOG), {DOG: speaks}, z, units, amount)[0].latent for amount in (1.0, 9.0)]
    assert first == [1, 0]


def test_a_turn_with_both_raises_most_lowers_some_and_moves_no_latent_twice():
    generator = torch.Generator().manual_seed(0)
    speaks = {node: torch.randn(64, generator=generator) for node in (CAT, DOG)}
    ops = turning_ops(Turn(CAT, DOG), speaks, torch.rand(3, 64, generator=generator), torch.ones(64), 1.0)
    assert [op.amount for op in ops] == [1.0] * RAISED + [-1.0] * (MOST - RAISED)
    assert len({op.latent for op in ops}) == MOST


@pytest.mark.parametrize("names", [("", ""), (DOG, DOG)])
def test_a_turn_goes_somewhere(names):
    with pytest.raises(InputError, match="turn"):
        Turn(*names)


@pytest.mark.parametrize(
    ("moved", "brought", "taken"),
    [
        (Moved(0.1, 0.9, 0.1, 0.2), True, False),
        (Moved(0.1, 0.9, 0.1, 0.6), False, False),  # another feature does more than half of it
        (Moved(0.1, 0.9, 0.6, 0.1), False, False),  # and so does a random direction
        (Moved(0.1, 0.4, 0.1, 0.1), False, False),  # still less likely than not
        (Moved(0.6, 0.9, 0.6, 0.6), False, False),  # it was there before
        (Moved(0.9, 0.1, 0.9, 0.8), False, True),
        (Moved(0.9, 0.1, 0.4, 0.9), False, False),
        (Moved(0.9, 0.1, 1.0, 1.0), False, True),  # controls that go the other way
    ],
)
def test_bringing_and_taking_are_judged_apart(moved, brought, taken):
    assert (moved.brought, moved.taken) == (brought, taken)
    assert held(Turn(more=DOG), {DOG: moved}) == brought
    assert held(Turn(less=DOG), {DOG: moved}) == taken
    assert held(Turn(DOG, CAT), {DOG: moved, CAT: Moved(1.0, 0.0, 0.0, 0.0)}) == brought

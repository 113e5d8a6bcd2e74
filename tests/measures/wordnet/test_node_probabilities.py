"""Probabilities of WordNet nodes against sums made by hand."""

from __future__ import annotations

import math

import pytest
import torch

from hsae.errors import InputError
from hsae.measures.wordnet.node_probabilities import node_log_odds, node_probabilities, require_some

LOGITS = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.0, 60.0]])
MEMBERS = torch.tensor([[True, False, False], [True, True, False], [True, True, True]])


def test_a_node_is_as_likely_as_its_classes_together():
    whole = math.exp(2) + math.exp(0.5) + math.exp(-1)
    expected = [math.exp(2) / whole, (math.exp(2) + math.exp(0.5)) / whole, 1.0]
    torch.testing.assert_close(node_probabilities(LOGITS, MEMBERS)[0], torch.tensor(expected))


def test_a_node_is_never_less_likely_than_one_below_it():
    logits = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    probabilities = node_probabilities(logits, MEMBERS)
    assert (probabilities.diff(dim=-1) >= -1e-6).all()
    assert (probabilities <= 1).all()


def test_log_odds_belong_to_the_probability():
    p = node_probabilities(LOGITS[0], MEMBERS)[1].item()
    assert node_log_odds(LOGITS[0], MEMBERS[1]).item() == pytest.approx(math.log(p / (1 - p)), rel=1e-5)


def test_log_odds_do_not_end_where_the_probability_does():
    assert node_probabilities(LOGITS[1], MEMBERS)[1].item() < 1e-20
    assert node_log_odds(LOGITS[1], MEMBERS[1]).item() == pytest.approx(math.log(2) - 60)


@pytest.mark.parametrize("under", [[False, False], [True, True]])
def test_nothing_speaks_for_or_against_a_node_of_all_classes_or_none(under):
    with pytest.raises(InputError, match="some of the classes, but not all"):
        require_some(torch.tensor(under))
    require_some(torch.tensor([True, False]))

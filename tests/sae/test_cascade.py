"""Rows planted around a few directions come back under one concept each; rows without such groups do not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

import hsae.sae.cascade as cascades
from hsae.sae.cascade import Cascade, cascade
from hsae.sae.layer import LayerTraining

FAMILIES, EACH = 6, 10


def planted_rows(spread: float) -> tuple[Tensor, Tensor]:
    """Unit rows around unit centres, and the family of each."""
    g = torch.Generator().manual_seed(0)
    centres = normalize(torch.randn(FAMILIES, 32, generator=g), dim=1)
    family = torch.arange(FAMILIES * EACH) % FAMILIES
    noise = normalize(torch.randn(len(family), 32, generator=g), dim=1)
    return normalize((1 - spread) * centres[family] + spread * noise, dim=1), family


def purity(learned: Cascade, family: Tensor) -> float:
    """Share of the rows that belong to the commonest family of their concept."""
    counts = [torch.bincount(family[learned.parent == p], minlength=FAMILIES).max() for p in learned.parent.unique()]
    return float(torch.stack(counts).sum() / len(family))


def test_rows_of_one_family_stand_under_concepts_of_their_own() -> None:
    rows, family = planted_rows(spread=0.3)
    noise, _ = planted_rows(spread=1.0)
    learned, control = cascade(rows, 2 * FAMILIES), cascade(noise, 2 * FAMILIES)
    assert purity(learned, family) > 0.95
    assert purity(control, family) < 0.7
    assert learned.fvu < 0.5 * control.fvu
    belongs = learned.parent >= 0
    assert ((learned.strength > 0) == belongs).all()
    assert learned.parent.max() < learned.n_concepts == 2 * FAMILIES


def test_the_same_rows_give_the_same_concepts() -> None:
    rows, _ = planted_rows(spread=0.3)
    assert torch.equal(cascade(rows, FAMILIES).parent, cascade(rows, FAMILIES).parent)


def test_many_rows_are_taken_some_at_a_time_and_find_their_concepts_too(monkeypatch) -> None:
    rows, family = planted_rows(spread=0.3)
    taken = []
    advance = LayerTraining.advance
    monkeypatch.setattr(LayerTraining, "advance", lambda self, raw, *how: (taken.append(raw), advance(self, raw, *how)))
    whole = cascade(rows, 2 * FAMILIES)
    assert {len(raw) for raw in taken} == {len(rows)}
    taken.clear()
    monkeypatch.setattr(cascades, "CELLS", 20 * 2 * FAMILIES)
    some = cascade(rows, 2 * FAMILIES)
    assert {len(raw) for raw in taken} == {20}
    assert len(torch.cat(taken).unique(dim=0)) == len(rows)
    assert purity(some, family) > 0.95
    assert some.fvu < 1.5 * whole.fvu


def test_one_concept_takes_what_it_explains() -> None:
    rows, _ = planted_rows(spread=0.3)
    learned = cascade(rows, 1)
    assert set(learned.parent.tolist()) <= {-1, 0}

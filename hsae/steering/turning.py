"""Turn what a photograph shows: a few latents moved so that a WordNet node becomes likelier, another one less so.

With u(node) the direction in which the layer's probe tells a node (`node_direction`), d_j the decoder row of latent j,
and p999_j its unit:
    more   the latents with the largest p999_j d_j . u(more) are raised by amount p999_j
    less   the latents with the largest lowered_j d_j . u(less) are lowered by lowered_j = min(z_j, amount p999_j)
`MOST` latents in all; when both nodes are named, `RAISED` of them are raised.

Measured on class tokens of the last layer (1 536 latents, 8 nodes, 40 photographs each): such pushes by 2 p999 bring
a node into .98 of photographs, and latents chosen by the gradient at the photograph into .55 of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from hsae.errors import InputError
from hsae.measures.probes import LinearProbe
from hsae.measures.wordnet.node_probabilities import require_some
from hsae.steering.classification import SteeringResult
from hsae.steering.edits import Op

MOST, RAISED = 8, 6
AMOUNTS = (0.5, 1.0, 2.0, 3.0)
"""Tried where an amount is chosen, in p999."""
TWICE = 2.0
"""How many times as far as by either control a push must move a node, to count as the push's own doing."""


@dataclass(frozen=True)
class Turn:
    """What a photograph is to show more of, less of, or both: WordNet ids; InputError for none, or the same twice."""

    more: str = ""
    less: str = ""

    def __post_init__(self) -> None:
        if self.more == self.less:
            raise InputError(f"a turn to more {self.more!r} and less {self.less!r}", "one node, or two different ones")

    @property
    def nodes(self) -> tuple[str, ...]:
        """Those that are named."""
        return tuple(filter(None, (self.more, self.less)))


def node_direction(probe: LinearProbe, members: Tensor) -> Tensor:
    """Mean weights of the classes under a node less those of the other ones, per activation: `[d_in]`.

    members: bool `[n_classes]`; InputError unless it has some of the classes, but not all.
    """
    require_some(members)
    weights = probe.W / probe.std[:, None]
    return weights[:, members].mean(1) - weights[:, ~members].mean(1)


def turning_ops(turn: Turn, speaks: Mapping[str, Tensor], z: Tensor, p999: Tensor, amount: float) -> tuple[Op, ...]:
    """The ops of a turn, raised latents first; none where no latent would help.

    speaks: by node d_j . u(node), `[d_sae]`; z: the image's latents, `[tokens, d_sae]`; amount: above 0, in p999.
    """
    up: list[int] = []
    if turn.more:
        up = _best(speaks[turn.more] * p999, RAISED if turn.less else MOST)
    ops = [Op(latent, "add", amount) for latent in up]
    if turn.less:
        gains = speaks[turn.less] * torch.minimum(z, amount * p999).sum(0)
        gains[up] = 0
        ops += [Op(latent, "add", -amount) for latent in _best(gains, MOST - len(up))]
    return tuple(ops)


def _best(gains: Tensor, n: int) -> list[int]:
    """The latents that gain most, the largest gain first; only those that gain anything."""
    values, latents = gains.nan_to_num().topk(min(n, len(gains)))
    return latents[values > 0].tolist()


@dataclass(frozen=True)
class Moved:
    """The probability of a node in a photograph, before and after a push and after its two controls; [0, 1] each."""

    before: float
    after: float
    random: float
    """After a random direction of the same length."""
    other: float
    """After features of equal firing rate, as far."""

    @classmethod
    def of(cls, result: SteeringResult, members: Tensor) -> Self:
        """Of a result with controls; members: bool `[n_classes]`, the classes under the node."""
        if result.probabilities_control is None or result.probabilities_feature_control is None:
            raise InputError("a result without controls", "one of `steer(edit, control_seed=...)`")
        stages = (
            result.probabilities_before, result.probabilities_after, result.probabilities_control,
            result.probabilities_feature_control,
        )  # fmt: skip
        return cls(*(float(stage[members.numpy()].sum()) for stage in stages))

    @property
    def brought(self) -> bool:
        """Whether the push made the node more likely than not, and moved it twice as far as either control."""
        return self.before < 0.5 < self.after and self._own(1)

    @property
    def taken(self) -> bool:
        """Whether the push made the node less likely than not, and moved it twice as far as either control."""
        return self.before > 0.5 > self.after and self._own(-1)

    def _own(self, sign: int) -> bool:
        push, *controls = (sign * (end - self.before) for end in (self.after, self.random, self.other))
        return all(push >= TWICE * control for control in controls)


def held(turn: Turn, moved: Mapping[str, Moved]) -> bool:
    """Whether a turn did what it should: brought what there is to be more of, or took the other; moved: by node.

    Bringing alone decides for a turn with both: probabilities sum to 1, so what is brought displaces what was there,
    and a random push of that length often does away with it too.
    """
    return moved[turn.more].brought if turn.more else moved[turn.less].taken

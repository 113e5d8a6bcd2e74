"""The L0 brought to its target during training: by the weight of the L1 penalty, or by moving all thresholds alike."""

from __future__ import annotations

import math

import torch
from torch import Tensor

FROZEN = 1 / 3
"""Share of the training, at the end, during which the weight stays as it is."""

MEMORY = 0.9
"""How much of the smoothed L0 each step keeps."""

REACH = math.log(10**4)
"""The weight can change by this factor, up or down, before it is frozen."""

HASTE = 1.0
"""Exponent of L0 / target in the factor by which the weight is off its slow course: it damps the oscillation."""

STRIDE = 0.03
"""Thresholds move by this times log(L0 / target) per step, where the input has mean square norm d_in."""


def distance(l0: Tensor, target: float) -> Tensor:
    """log(L0 / target), between -1 and 1."""
    return (l0 / target).clamp_min(1e-3).log().clamp(-1, 1)


class SparsityControl:
    """The weight of a penalty; without a target it stays as given.

    log weight = log course + HASTE log(L0 / target); the course moves by small factors while L0 is off its target.
    """

    def __init__(self, weight: float, target: float | None, steps: int, device: torch.device | str = "cpu") -> None:
        self.target, self.moving = target, steps - round(FROZEN * steps)
        self.weight = torch.full((), weight, device=device)
        self.course, self.l0 = self.weight.clone(), torch.zeros((), device=device)

    def update(self, l0: Tensor, step: int) -> None:
        """Take note of the L0 measured in step number `step` (0-based), and set the weight of the next."""
        self.l0.copy_(torch.where(self.l0 > 0, torch.lerp(l0, self.l0, MEMORY), l0))
        if self.target is None or step >= self.moving:
            return
        off = distance(self.l0, self.target)
        self.course.mul_((off * (REACH / self.moving)).exp())
        self.weight.copy_(self.course * (HASTE * off).exp() if step + 1 < self.moving else self.course)

    def state(self) -> dict[str, Tensor]:
        """Every tensor that decides how the control goes on, by name."""
        return {"weight": self.weight, "course": self.course, "smoothed_l0": self.l0}

"""Removal curves: how the target falls when relevant patches are removed first, and when they are removed last."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.errors import InputError
from hsae.faithfulness.removal import Baseline, read_without
from hsae.relevancy.maps import RelevancyMap
from hsae.relevancy.targets import Target

Name = TypeVar("Name", bound=Hashable)

FRACTIONS = (0.1, 0.25, 0.5)
"""Few, because the app computes them while a visitor waits; 0 and 1 are always added."""


@dataclass(frozen=True)
class RemovalSetting:
    """How patches are removed; InputError for fractions that do not rise between 0 and 1."""

    fractions: tuple[float, ...] = FRACTIONS
    """Shares of the patches."""
    baseline: Baseline = "blur"
    """What stands where a patch was."""
    n_random: int = 1
    """Random orders."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.fractions or list(self.fractions) != sorted({f for f in self.fractions if 0 < f < 1}):
            raise InputError(f"fractions {list(self.fractions)}", "rising numbers between 0 and 1, both left out")


@dataclass(frozen=True, eq=False)
class Curve:
    """A target's value as more and more patches are removed, in three orders; all `[n]`."""

    fractions: np.ndarray
    """Shares of the patches removed, from 0 (the image) to 1 (the baseline)."""
    morf: np.ndarray
    """Most relevant first: deletion."""
    lerf: np.ndarray
    """Least relevant first; read from right to left it is insertion of the most relevant into the baseline."""
    random: np.ndarray
    """In random order, the control: the mean over `n_random` orders."""
    baseline: Baseline

    @property
    def lost(self) -> float:
        """Value of the image less that of the baseline: the scale of the curve, in units of the target."""
        return float(self.morf[0] - self.morf[-1])

    def area(self, values: np.ndarray) -> float:
        """Area between one of the three curves and the baseline's value, in units of the target."""
        return float(np.trapezoid(values - values[-1], self.fractions))

    @property
    def deletion(self) -> float:
        """Area under MoRF with the baseline at 0 and the image at 1: low is good; nan when nothing is lost."""
        return _ratio(self.area(self.morf), self.lost)

    @property
    def insertion(self) -> float:
        """Area under LeRF, which is that of insertion, on the same scale: high is good."""
        return _ratio(self.area(self.lerf), self.lost)

    @property
    def gap(self) -> float:
        """(area under LeRF - area under MoRF) / |lost|: 0 for chance, negative when the map ranks patches in reverse.

        Above 1 where removal overshoots the baseline.
        """
        return _ratio(self.area(self.lerf) - self.area(self.morf), abs(self.lost))

    @property
    def random_gap(self) -> float:
        """(area under random - area under MoRF) / |lost|: 0 for chance, higher when the target falls sooner."""
        return _ratio(self.area(self.random) - self.area(self.morf), abs(self.lost))


def faithfulness_curve(
    backbone: Backbone,
    target: Target,
    pixels: Tensor,
    layer: str,
    map: RelevancyMap,
    setting: RemovalSetting | None = None,
) -> Curve:
    """How a target falls as patches are removed in the order of its map; (2 + n_random) * fractions + 3 passes.

    pixels `[1, 3, height, width]`, as `backbone.pixels([image])` gives. Petsiuk et al., BMVC 2018 (arXiv 1806.07421);
    MoRF and LeRF after Samek et al., 2015 (arXiv 1509.06321). Units of the target; see `Curve.gap` for one number.
    """
    (curves,) = faithfulness_curves(backbone, [target], pixels, layer, {"": map}, setting)
    return curves[""]


def faithfulness_curves(
    backbone: Backbone,
    targets: Sequence[Target],
    pixels: Tensor,
    layer: str,
    maps: Mapping[Name, RelevancyMap],
    setting: RemovalSetting | None = None,
) -> list[dict[Name, Curve]]:
    """For every target the curves of every map, whichever target the map explains.

    All targets are read in the same passes: 2 * maps * fractions, and for all maps together n_random * fractions + 3.
    """
    setting = setting or RemovalSetting()
    n_patches, inner = _common_size(maps), setting.fractions
    generator = np.random.default_rng(setting.seed)
    chance = [generator.permutation(n_patches) for _ in range(setting.n_random)]
    orders = [order for map in maps.values() for order in removal_orders(map.values)]
    removed = [first(order, share) for order in [*orders, *chance] for share in inner]
    ends = [np.zeros(n_patches, bool), np.ones(n_patches, bool)]
    values = read_without(backbone, targets, pixels, layer, np.stack([*ends, *removed]), setting.baseline)
    return [_curves(row, maps, np.array([0.0, *inner, 1.0]), setting.baseline) for row in values]


def _curves(values: np.ndarray, names: Collection[Name], shares: np.ndarray, baseline: Baseline) -> dict[Name, Curve]:
    """Curves from the values of one target: image, baseline, then the inner points of every order."""
    inside = values[2:].reshape(-1, len(shares) - 2)
    rows = np.column_stack([np.full(len(inside), values[0]), inside, np.full(len(inside), values[1])])
    random = rows[2 * len(names) :].mean(0)
    return {name: Curve(shares, rows[2 * i], rows[2 * i + 1], random, baseline) for i, name in enumerate(names)}


def removal_orders(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Patches of `[rows, cols]` from the most relevant to the least, and the other way round."""
    order = np.argsort(-values.ravel(), kind="stable")
    return order, order[::-1]


def first(order: np.ndarray, share: float) -> np.ndarray:
    """bool `[patches]`: the first `share` of the order, at least one patch."""
    removed = np.zeros(len(order), bool)
    removed[order[: max(1, round(share * len(order)))]] = True
    return removed


def _common_size(maps: Mapping[Name, RelevancyMap]) -> int:
    sizes = {map.values.size for map in maps.values()}
    if len(sizes) != 1:
        raise InputError(f"maps of {sorted(sizes)} patches", "one map or more, all of one size")
    return sizes.pop()


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")

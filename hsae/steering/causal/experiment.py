"""The causal test of one layer: choose features, move them and their controls, measure, compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, lch_rows, wordnet
from hsae.measures.plain import rounded
from hsae.measures.statistics import against_control, against_shuffled, interval
from hsae.report.shown_names import as_shown, name_f1, name_nodes
from hsae.sae.model import SparseAutoencoder
from hsae.steering.causal.measures import MEASURES, ClassChange, distances, measure, profile, shuffled
from hsae.steering.causal.push import Answers, answers, push
from hsae.steering.causal.yardsticks import Yardsticks
from hsae.steering.controls import along, equal_rate_latent
from hsae.steering.deltas import edit_delta, scope_tokens
from hsae.steering.edits import Op, Scope
from hsae.steering.readout import Readout

VALUES = {"set": Op(0, "set", 1.0), "off": Op(0, "off")}
SENSES = {"set": 1, "off": -1}
"""The sign of a push along a direction, and of what it changes: `off` says what is lost."""
CONTROLS, CEILINGS = ("random", "other", "frozen"), ("mean", "probe")
CONDITIONS = ("feature", *CONTROLS, *CEILINGS)
_DECIMALS = 12  # of measures, which are cut to significant digits later


@dataclass(frozen=True)
class Setting:
    """How much is tested; all of it is written beside the result."""

    features: int = 50
    """Per layer, those whose name fits best on images that did not choose it."""
    images: int = 64
    """Per feature and value."""
    seed: int = 0
    scope: Scope = "cls"
    """Tokens that are moved: cls, or patches for SAEs of patches."""


@dataclass(frozen=True, eq=False)
class Images:
    """Activations `[images, tokens, d_in]` at the tested and at the last layer, with each image's class if known."""

    x: Tensor
    last: Tensor
    wnids: Sequence[str | None]

    @property
    def moved(self) -> slice:
        """The first half is moved; the others show what the directions are that features are compared with."""
        return slice(0, (len(self.x) + 1) // 2)

    def under(self, node: str) -> np.ndarray:
        """Which images show something under a WordNet node, bool `[images]`."""
        return np.array([wnid is not None and node in wordnet().ancestors(wnid) for wnid in self.wnids])


@dataclass(frozen=True, eq=False)
class LayerTest:
    """The inputs that all tests of one layer's features share."""

    layer: str
    sae: SparseAutoencoder
    table: pd.DataFrame
    """The artifact's latents: p999, frequency, dead, label, and what names them (`report.shown_names`)."""
    taxonomy: Taxonomy
    images: Images
    readout: Readout
    setting: Setting = field(default_factory=Setting)

    def run(self) -> dict[str, Any]:
        """The layer's part of the document: features with their measures, and their summary."""
        chosen = testable_features(self.table, self.taxonomy, self.setting.features)
        if not len(chosen):
            raise InputError(f"no testable latent at {self.layer}", "latents with a node of 2 classes or more")
        before = answers(self.readout, self.images.last[self.images.moved])
        moves = {int(j): self._moves(int(j), str(node), before) for j, node in chosen["tested"].items()}
        nodes = [distances(self.taxonomy, node) for node in chosen["tested"]]
        features = [
            {"latent": latent, **_about(row, self.taxonomy)}
            | {value: _feature(move, distance) for value, move in moves[latent].items()}
            for (latent, row), distance in zip(chosen.iterrows(), nodes, strict=True)
        ]
        summary = {value: _summary([moves[j].get(value) for j in moves], nodes) for value in VALUES}
        return {"features": features, "summary": summary}

    def _moves(self, latent: int, node: str, before: Answers) -> dict[str, Move]:
        """What moving one latent did, by value; without `off` where it fires on no image under its node."""
        x, under = self.images.x[self.images.moved], self.images.under(node)
        with torch.no_grad():
            z = self.sae.encode(x[:, self._positions])[..., latent].amax(1).numpy()
        fires = np.flatnonzero(under[self.images.moved] & (z > 0))
        strongest = fires[np.argsort(-z[fires], kind="stable")][: self.setting.images]
        rows = {"set": np.arange(len(z))[: self.setting.images], "off": strongest}
        directions = self._directions(latent, under)
        deltas = {value: self._deltas(latent, value, x[at], directions) for value, at in rows.items() if len(at)}
        return {value: self._move(SENSES[value], rows[value], before, pushes) for value, pushes in deltas.items()}

    def _directions(self, latent: int, under: np.ndarray) -> dict[str, Tensor]:
        """What is pushed along in place of one latent, by condition."""
        other = equal_rate_latent(self.table["frequency"], latent, self.setting.seed)
        of_node = self._yardsticks.of_node(under[self.images.moved.stop :])
        return {"random": self._yardsticks.random(latent), "other": self.sae.W_dec[other].detach()} | of_node

    @cached_property
    def _yardsticks(self) -> Yardsticks:
        still = self.images.x[self.images.moved.stop :, self._positions].mean(1)
        return Yardsticks(still, self.sae.d_sae, self.setting.seed)

    def _move(self, sense: int, rows: np.ndarray, before: Answers, deltas: dict[str, Tensor]) -> Move:
        x = self.images.x[rows]
        results = {condition: push(self.readout, self.layer, x, delta) for condition, delta in deltas.items()}
        changes = {name: _mean_change(after, before, rows, sense) for name, after in results.items()}
        predictions = {name: (before.predicted[rows], after.predicted) for name, after in results.items()}
        heights = {name: change_heights(self.taxonomy, *pair) for name, pair in predictions.items()}
        return Move(len(rows), changes, heights)

    @torch.no_grad()
    def _deltas(self, latent: int, value: str, x: Tensor, directions: dict[str, Tensor]) -> dict[str, Tensor]:
        """What each condition adds to `x [images, tokens, d_in]`, the same norm at every token."""
        op = Op(latent, VALUES[value].mode, VALUES[value].amount)
        p999 = self.table["p999"].to_numpy(float)
        delta = torch.zeros_like(x)
        delta[:, self._positions] = edit_delta(x[:, self._positions], [op], self.sae, p999)[0]
        pushes = {name: along(delta, SENSES[value] * direction) for name, direction in directions.items()}
        return {"feature": delta} | pushes

    @property
    def _positions(self) -> list[int]:
        return scope_tokens(
            self.setting.scope, self.images.x.shape[1], self.readout.backbone.layers[self.layer].n_prefix
        )


@dataclass(frozen=True, eq=False)
class Move:
    """One value of one latent, and its controls."""

    n_images: int
    changes: dict[str, ClassChange]
    """By condition, averaged over images; for `off` what is lost. Some are missing for a node of no still image."""
    heights: dict[str, np.ndarray]
    """By condition, for every image whose prediction changed: height of LCH(old, new)."""


def testable_features(table: pd.DataFrame, taxonomy: Taxonomy, n: int) -> pd.DataFrame:
    """The `n` living latents whose name fits best, of those named after a node of 2 to C - 1 classes.

    The table's columns, and tested, the node, and fit, `report.shown_names.name_f1`; label is as it may be shown.
    """
    known = as_shown(table).assign(tested=name_nodes(table, older="best_node"), fit=name_f1(table))
    fits = known[~known["dead"] & known["tested"].isin(taxonomy.nodes) & (known["fit"] > 0) & (known["p999"] > 0)]
    sizes = np.array([taxonomy.leaf_count(node) for node in fits["tested"]], dtype=int)
    fits = fits[(sizes >= 2) & (sizes < len(taxonomy.classes))]
    return fits.sort_values("fit", ascending=False, kind="stable").head(n)


def change_heights(taxonomy: Taxonomy, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Height of LCH(old, new) for every image with another prediction than before; columns of classes `[images]`."""
    changed = old != new
    pairs = np.zeros((int(changed.sum()), len(taxonomy.classes)), dtype=bool)
    np.put_along_axis(pairs, np.stack([old[changed], new[changed]], axis=1), True, axis=1)
    return taxonomy.heights[lch_rows(taxonomy, pairs)]


def _mean_change(after: Answers, before: Answers, rows: np.ndarray, sense: int) -> ClassChange:
    return ClassChange(
        sense * (after.logits - before.logits[rows]).mean(axis=0).astype(float),
        sense * (after.probabilities - before.probabilities[rows]).mean(axis=0).astype(float),
    )


def _about(row: pd.Series, taxonomy: Taxonomy) -> dict[str, Any]:
    node = row["tested"]
    about = {"label": row["label"], "node": node, "node_classes": taxonomy.leaf_count(node)}
    return about | {"node_height": taxonomy.height(node), "node_f1": float(row["fit"])}


def _feature(move: Move, distance: np.ndarray) -> dict[str, Any]:
    """One value of one feature: measures by condition, and the profile of the feature itself."""
    measures = {name: rounded(measure(change, distance), _DECIMALS) for name, change in move.changes.items()}
    profiles = {name: profile(change, distance) for name, change in move.changes.items()}
    return {"n_images": move.n_images, **measures, "profile": profiles}


def _summary(moves: Sequence[Move | None], nodes: Sequence[np.ndarray]) -> dict[str, Any]:
    """Means over features, each against its controls and ceilings; and how far predictions moved in WordNet."""
    kept = [(move, node) for move, node in zip(moves, nodes, strict=True) if move is not None]
    if not kept:
        return {"n_features": 0}
    summary = {"n_features": len(kept), "measures": {name: _compare(name, kept) for name in MEASURES}}
    for condition in CONDITIONS:
        pushed = [move for move, _ in kept if condition in move.heights]
        heights = np.concatenate([np.zeros(0), *(move.heights[condition] for move in pushed)])
        summary[f"predictions_{condition}"] = {
            "changed": len(heights) / sum(move.n_images for move in pushed) if pushed else None,
            "mean_height": float(heights.mean()) if len(heights) else None,
        }
    return summary


def _compare(name: str, kept: Sequence[tuple[Move, np.ndarray]]) -> dict[str, Any]:
    """One measure over all features: its mean, and the mean difference from everything it is compared with."""
    values = {
        condition: np.array(
            [
                MEASURES[name](move.changes[condition], node) if condition in move.changes else np.nan
                for move, node in kept
            ]
        )
        for condition in CONDITIONS
    }
    every = shuffled([move.changes["feature"] for move, _ in kept], [node for _, node in kept], name)
    return {
        **{condition: interval(numbers) for condition, numbers in values.items()},
        **{f"against_{other}": against_control(values["feature"], values[other]) for other in CONDITIONS[1:]},
        "against_shuffled": against_shuffled(every),
    }

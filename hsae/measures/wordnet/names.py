"""When does a latent deserve a name? Its node is chosen on some images, kept on others, and scored on still others.

The measures are those of `hsae.measures.wordnet.nodes`. Nothing here lets a test image decide anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsae.errors import InputError
from hsae.hierarchy.lch import MISSING
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.statistics import benjamini_hochberg
from hsae.measures.wordnet.class_sets import wnids
from hsae.measures.wordnet.name_chances import Chances, fit_chances
from hsae.measures.wordnet.nodes import (
    MIN_SAID,
    LabelledScores,
    average_precision_of,
    best_nodes,
    candidate_nodes,
    ranking,
)

_SHUFFLES = 250  # at once

Rows = NDArray[np.float64]
Nulls = dict[int, Rows]


@dataclass(frozen=True)
class NameRule:
    """When the node of a latent is kept as its name; InputError for numbers that cannot be met."""

    alpha: float = 0.05
    """q on the confirm images stays below it."""
    min_precision: float = 0.3
    """On the confirm images."""
    min_lift: float = 3.0
    """Precision over the node's share, on the confirm images."""
    min_said: int = MIN_SAID
    """Choice images that reach the threshold."""
    max_share: float = 0.5
    """A node's share of the choice images stays below it."""
    permutations: int = 10_000
    """Of the labels of the confirm images."""
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = [
            f"{name} {getattr(self, name)}"
            for name, good in {
                "alpha": 0 < self.alpha <= 1,
                "min_precision": 0 <= self.min_precision <= 1,
                "min_lift": self.min_lift >= 0,
                "min_said": self.min_said >= 1,
                "max_share": 0 < self.max_share <= 1,
                "permutations": self.permutations >= 1,
            }.items()
            if not good
        ]
        if wrong:
            raise InputError(", ".join(wrong), "shares in [0, 1] (alpha and max_share above 0), counts of 1 or more")


@dataclass(frozen=True, eq=False)
class Detection:
    """How well latents tell their nodes on some images, at given thresholds; NaN where nothing can be said."""

    said: NDArray[np.int64]
    """Images that reach the threshold, `[n_latents]` like all others."""
    hits: NDArray[np.int64]
    """Those of them that are under the node."""
    positives: NDArray[np.int64]
    """Images under the node."""
    ap_gain: Rows
    n_images: int

    @property
    def share(self) -> Rows:
        """pi: the node's share of the images."""
        return self.positives / self.n_images

    @property
    def precision(self) -> Rows:
        """NaN also where no image is under the node: then nothing could have been right."""
        return np.where(self.positives > 0, _ratio(self.hits, self.said), np.nan)

    @property
    def recall(self) -> Rows:
        return _ratio(self.hits, self.positives)

    @property
    def lift(self) -> Rows:
        return _ratio(self.precision, self.share)

    @property
    def mcc(self) -> Rows:
        """0 where the threshold says all images or none."""
        n, said, positives = self.n_images, self.said.astype(float), self.positives.astype(float)
        spread = np.sqrt(said * (n - said)) * np.sqrt(positives * (n - positives))
        return np.where(positives > 0, np.nan_to_num(_ratio(n * self.hits - said * positives, spread)), np.nan)


@dataclass(frozen=True, eq=False)
class ChosenNames:
    """What was decided about every latent before any test image was seen, `[n_latents]`."""

    taxonomy: Taxonomy
    node: NDArray[np.int64]
    """Position in the taxonomy; MISSING for a latent that tells no node."""
    threshold: NDArray[np.float32]
    """The score from which on the node is said of an image; NaN where it is MISSING."""
    p: Rows
    """Of the AP gain on the confirm images; NaN where the node has none of them."""
    q: Rows
    named: NDArray[np.bool_]
    confirmed: Detection
    """On the confirm images."""
    chances: Chances
    """How likely a name is true of one image, by its score there; fitted to the choice images, for the named."""

    @cached_property
    def worth(self) -> Rows:
        """What a latent's name is expected to tell of an image, in bits: precision x log2(1 / pi), for the order.

        Precision on the confirm images with one more image said, whose hit is pi.
        """
        share = self.confirmed.share
        with np.errstate(divide="ignore", invalid="ignore"):
            return (self.confirmed.hits + share) / (self.confirmed.said + 1) * np.log2(1 / share)


def name_latents(
    taxonomy: Taxonomy, choice: LabelledScores, confirm: LabelledScores, test: LabelledScores, rule: NameRule
) -> pd.DataFrame:
    """Nodes, names and test numbers of all latents, as columns of an artifact's table (`hsae.report.columns`).

    The node has the largest MCC on the choice images and is kept as the name (`named` 1, otherwise 0) when `rule` says
    so on the confirm images; gain, MCC, precision, recall and lift are those on the test images.
    """
    return name_columns(choose_names(taxonomy, choice, confirm, rule), test)


def choose_names(
    taxonomy: Taxonomy,
    choice: LabelledScores,
    confirm: LabelledScores,
    rule: NameRule,
    fires: NDArray[np.bool_] | None = None,
) -> ChosenNames:
    """Node and threshold of every latent from the choice images, and from the confirm images whether they are kept.

    fires: the latents that fire on any choice image, `[n_latents]`; the others tell no node, however well their
    pre-activations would. InputError when no node of the choice images has less than `rule.max_share` of them.
    """
    nodes = candidate_nodes(taxonomy, choice, rule.max_share)
    if not len(nodes):
        got = f"{len(choice.labels)} choice images of {len(np.unique(choice.labels))} classes"
        raise InputError(got, f"images under a WordNet node with less than {rule.max_share:g} of them")
    best = best_nodes(choice, taxonomy.members[nodes], rule.min_said)
    told = (best.node != MISSING) & (True if fires is None else fires)
    node, threshold = np.where(told, nodes[best.node], MISSING), np.where(told, best.threshold, np.float32(np.nan))
    confirmed = detect(taxonomy, node, threshold, confirm)
    p = _p_values(taxonomy, node, nodes, confirm, rule)
    q = benjamini_hochberg(pd.Series(p)).to_numpy()
    with np.errstate(invalid="ignore"):
        named = (q < rule.alpha) & (confirmed.precision >= rule.min_precision) & (confirmed.lift >= rule.min_lift)
    likely = fit_chances(taxonomy, np.where(named, node, MISSING), choice)
    return ChosenNames(taxonomy, node, threshold, p, q, named, confirmed, likely)


def name_columns(chosen: ChosenNames, test: LabelledScores) -> pd.DataFrame:
    """The columns from `node` on, one row per latent, with the numbers of the test images."""
    found = detect(chosen.taxonomy, chosen.node, chosen.threshold, test)
    return pd.DataFrame(
        {
            "node": wnids(chosen.taxonomy, chosen.node),
            "node_ap_gain": np.maximum(found.ap_gain, -1),  # it can be lower where pi is above 0.8 on these images
            "node_mcc": found.mcc,
            "node_precision": found.precision,
            "node_recall": found.recall,
            "node_lift": found.lift,
            "node_threshold": chosen.threshold,
            "node_p": chosen.p,
            "node_q": chosen.q,
            "named": chosen.named.astype(np.int64),
            "node_worth": chosen.worth,
            "node_slope": chosen.chances.slope,
            "node_offset": chosen.chances.offset,
        }
    )


def detect(
    taxonomy: Taxonomy,
    node: NDArray[np.int64],
    threshold: NDArray[np.float32],
    data: LabelledScores,
    latents: NDArray[np.int64] | None = None,
) -> Detection:
    """How well each latent, or of some `latents`, tells its own node (a position, or MISSING) by its threshold."""
    members = taxonomy.members[node] & (node != MISSING)[:, None]
    positives = data.under(members)

    def detected(scores: NDArray[np.float32], row: NDArray[np.bool_], bar: float) -> tuple[int, int, float]:
        under, reaches = row[data.labels], scores >= bar
        if not under.any():
            return reaches.sum(), 0, np.nan
        ranked = ranking(scores)
        return reaches.sum(), (reaches & under).sum(), average_precision_of(ranked.ends[under[ranked.order]])

    found = list(data.each(detected, members, threshold, latents=latents))
    said, hits = (np.array([one[number] for one in found], dtype=positives.dtype) for number in range(2))
    precision, share = np.array([one[2] for one in found], dtype=np.float64), positives / len(data.labels)
    return Detection(said, hits, positives, _ratio(precision - share, 1 - share), len(data.labels))


def _p_values(
    taxonomy: Taxonomy,
    node: NDArray[np.int64],
    candidates: NDArray[np.int64],
    confirm: LabelledScores,
    rule: NameRule,
) -> Rows:
    """(1 + #{shuffled AP >= AP}) / (shuffles + 1), labels shuffled with their numbers kept: `[n_latents]`.

    For one node AP and AP gain rise together. A shuffle makes the images under a node any images, so what AP it gives
    depends on their number only, once equal scores have been put in a random order.
    """
    n = len(confirm.labels)
    sizes = np.unique(confirm.under(taxonomy.members[candidates]))
    nulls = random_precisions(n, tuple(sizes[sizes > 0].tolist()), rule.permutations, rule.seed)
    order = np.random.default_rng(rule.seed).permutation(n)
    labels = confirm.labels[order]

    def p_value(scores: NDArray[np.float32], of: int) -> float:
        under = taxonomy.members[of][labels]
        if of == MISSING or not under.any():
            return np.nan
        ranks = np.flatnonzero(under[ranking(scores[order]).order]) + 1
        null = nulls[len(ranks)]
        smaller = np.searchsorted(null, average_precision_of(ranks) * (1 - 1e-12))  # an equal one is no smaller
        return (1 + len(null) - smaller) / (1 + len(null))

    return np.array(list(confirm.each(p_value, node)), dtype=np.float64)


@lru_cache(maxsize=2)
def random_precisions(n: int, counts: tuple[int, ...], permutations: int, seed: int) -> Nulls:
    """AP of random rankings of n images, sorted `[permutations]`, for each number of images under a node in `counts`.

    One shuffle serves every number: its first P places are those of the images under a node of P.
    """
    from hsae.measures.wordnet.kernels import drawn_precisions  # only where it is wanted: importing numba takes time

    generator, sizes = np.random.default_rng(seed), np.array(counts)
    found = np.empty((permutations, len(sizes)))
    places = np.arange(n, dtype=np.int32)
    for start in range(0, permutations, _SHUFFLES):
        part = found[start : start + _SHUFFLES]
        shuffled = generator.permuted(np.tile(places, (len(part), 1)), axis=1)
        draw, size = (grid.ravel() for grid in np.indices(part.shape))
        drawn_precisions(places, shuffled, draw, sizes[size], part.reshape(-1))
    return dict(zip(counts, np.sort(found.T), strict=True))


def _ratio(above: NDArray[Any], below: NDArray[Any]) -> Rows:
    """above / below, NaN where below is 0."""
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)

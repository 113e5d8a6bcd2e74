"""Scores of all methods at one layer, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from hsae.data.samples import Samples
from hsae.errors import InputError
from hsae.faithfulness.measure import RANDOM, Placement, Subject, placements, removals
from hsae.faithfulness.removal import Baseline
from hsae.faithfulness.scenes import scenes
from hsae.faithfulness.summary import chosen_method, placement_table, removal_table
from hsae.relevancy.methods import usable_methods

ENOUGH = 40
"""Photographs that score, at least, before differences between methods of about 0.1 mean anything."""


@dataclass(frozen=True)
class FaithfulnessConfig:
    """How much is measured."""

    n_photos: int = 80
    """Photographs per layer, each with two latents that it moves: one half chooses a method, the other scores all."""
    n_scenes: int = 60
    """Scenes per layer with an object whose place is known."""
    baselines: Sequence[Baseline] = ("blur", "mean")
    """Replacements of removed patches; per-feature scores are of the first."""
    seed: int = 0
    progress: bool = True


@dataclass(frozen=True)
class LayerScores:
    """Everything measured at one layer; one row per map."""

    removals: pd.DataFrame
    """Rows of `Removal` on the photographs that score, with the key of their photo."""
    placements: pd.DataFrame
    chosen: str
    """The best method on the other photographs (`chosen_method`)."""
    n_choice: int = 0
    """How many these are."""


def score_layer(
    subject: Subject,
    samples: Samples,
    photos: Mapping[int, Sequence[str]],
    config: FaithfulnessConfig,
    cutouts: Samples | None = None,
) -> LayerScores:
    """Score every method that is usable at the subject's layer, on photographs and on scenes.

    photos: for each latent keys of samples that move it; cutouts: samples with masks, of which the scenes are made
    (default: `samples`). InputError when fewer than two photographs move two of the latents.
    """
    generator = np.random.default_rng(config.seed)
    able = sorted(latent for latent, keys in photos.items() if keys)
    shared = list(pairs_on_photos(photos, config.n_photos, generator))
    if len(shared) < 2:
        got = f"{len(shared)} photographs that move two latents of {subject.layer}"
        raise InputError(got, "two or more: one half chooses a method, the other scores all")
    first = subject.backbone.pixels([samples.read(0).image])
    methods = usable_methods(subject.backbone, first, subject.layer)
    removed = pd.DataFrame(_on_photos(subject, samples, shared, methods, config, generator))
    placed = list(_on_scenes(subject, cutouts or samples, able, methods, config, generator))
    chooses = pd.unique(removed["photo"])[::2]
    choice, scored = (removed[removed["photo"].isin(chooses) == side] for side in (True, False))
    return LayerScores(scored, pd.DataFrame(asdict(row) for row in placed), chosen_method(choice, RANDOM), len(chooses))


def _on_photos(
    subject: Subject,
    samples: Samples,
    pairs: Sequence[tuple[str, tuple[int, int]]],
    methods: Sequence[str],
    config: FaithfulnessConfig,
    generator: np.random.Generator,
) -> Iterator[dict[str, Any]]:
    rows = {samples.key(row): row for row in range(len(samples))}
    for key, pair in tqdm(pairs, desc=f"{subject.layer}, photographs", disable=not config.progress):
        pixels = subject.backbone.pixels([samples.read(rows[key]).image])
        for row in removals(subject, pixels, pair, methods, config.baselines, generator):
            yield {"photo": key, **asdict(row)}


def pairs_on_photos(
    photos: Mapping[int, Sequence[str]], n: int, generator: np.random.Generator
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Up to n random photographs, each with two random latents that it moves; no latent and no photograph twice."""
    on: dict[str, list[int]] = {}
    for latent, keys in photos.items():
        for key in keys:
            on.setdefault(key, []).append(latent)
    used: set[int] = set()
    for key in generator.permutation(sorted(on)).tolist():
        free = sorted({*on[key]} - used)
        if len(free) < 2 or len(used) == 2 * n:
            continue
        first, second = generator.choice(free, 2, replace=False).tolist()
        used |= {first, second}
        yield key, (first, second)


def _on_scenes(
    subject: Subject,
    samples: Samples,
    able: Sequence[int],
    methods: Sequence[str],
    config: FaithfulnessConfig,
    generator: np.random.Generator,
) -> Iterator[Placement]:
    side = subject.backbone.preprocessing.image_size
    made = scenes(samples, config.n_scenes, side, config.seed)
    for scene in tqdm(made, desc=f"{subject.layer}, scenes", total=config.n_scenes, disable=not config.progress):
        yield from placements(subject, scene, able, methods, generator)


def table(scores: Mapping[str, LayerScores]) -> pd.DataFrame:
    """One row per layer, method and baseline, with all columns of `removal_table` and `placement_table`."""
    parts = []
    for layer, layer_scores in scores.items():
        row = removal_table(layer_scores.removals).merge(
            placement_table(layer_scores.placements), on="method", suffixes=("", "_scenes")
        )
        row.insert(0, "layer", layer)
        parts.append(row)
    return pd.concat(parts, ignore_index=True)

"""Scores of all methods at one layer, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from tqdm import tqdm

from hsae.data.samples import Samples
from hsae.errors import InputError
from hsae.faithfulness.measure import Placement, Removal, Subject, placements, removals
from hsae.faithfulness.removal import Baseline
from hsae.faithfulness.scenes import scenes
from hsae.faithfulness.summary import placement_table, removal_table
from hsae.relevancy.methods import usable_methods


@dataclass(frozen=True)
class FaithfulnessConfig:
    """How much is measured."""

    n_features: int = 30
    """Latents per layer, drawn in pairs that share a photograph that moves both."""
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
    placements: pd.DataFrame


def score_layer(
    subject: Subject, samples: Samples, photos: Mapping[int, Sequence[str]], config: FaithfulnessConfig
) -> LayerScores:
    """Score every method that is usable at the subject's layer, on photographs and on scenes made of `samples`.

    photos: for each latent keys of samples that move it, strongest first. InputError when fewer than two have any.
    """
    generator = np.random.default_rng(config.seed)
    able = sorted(latent for latent, keys in photos.items() if keys)
    if len(able) < 2:
        raise InputError(f"{len(able)} latents of {subject.layer} with photographs", "two or more")
    first = subject.backbone.pixels([samples.read(0).image])
    methods = usable_methods(subject.backbone, first, subject.layer)
    with tqdm(total=config.n_features // 2 + config.n_scenes, desc=subject.layer, disable=not config.progress) as bar:
        removed = list(_on_photos(subject, samples, photos, methods, config, generator, bar))
        placed = list(_on_scenes(subject, samples, able, methods, config, generator, bar))
    return LayerScores(*(pd.DataFrame([asdict(row) for row in rows]) for rows in (removed, placed)))


def _on_photos(
    subject: Subject,
    samples: Samples,
    photos: Mapping[int, Sequence[str]],
    methods: Sequence[str],
    config: FaithfulnessConfig,
    generator: np.random.Generator,
    bar: tqdm,
) -> Iterator[Removal]:
    rows = {samples.key(row): row for row in range(len(samples))}
    for key, pair in pairs_on_photos(photos, config.n_features // 2, generator):
        pixels = subject.backbone.pixels([samples.read(rows[key]).image])
        yield from removals(subject, pixels, pair, methods, config.baselines, generator)
        bar.update()


def pairs_on_photos(
    photos: Mapping[int, Sequence[str]], n: int, generator: np.random.Generator
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Random latents, each with its strongest photograph and a random other latent that this photograph moves too.

    No latent occurs twice; fewer than n pairs when no more can be made.
    """
    on: dict[str, set[int]] = {}
    for latent, keys in photos.items():
        for key in keys:
            on.setdefault(key, set()).add(latent)
    used: set[int] = set()
    for latent in generator.permutation([latent for latent, keys in photos.items() if keys]).tolist():
        others = sorted(on[photos[latent][0]] - used - {latent})
        if latent in used or not others or len(used) == 2 * n:
            continue
        pair = latent, int(generator.choice(others))
        used.update(pair)
        yield photos[latent][0], pair


def _on_scenes(
    subject: Subject,
    samples: Samples,
    able: Sequence[int],
    methods: Sequence[str],
    config: FaithfulnessConfig,
    generator: np.random.Generator,
    bar: tqdm,
) -> Iterator[Placement]:
    side = subject.backbone.preprocessing.image_size
    for scene in scenes(samples, config.n_scenes, side, config.seed):
        yield from placements(subject, scene, able, methods, generator)
        bar.update()


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

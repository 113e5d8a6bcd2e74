"""The layers of a run on a random backbone, as a baseline of another run's layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hsae.artifacts.artifact import Artifact
from hsae.errors import InputError
from training.run_config import RunConfig

KEYS = (
    "n_unassigned",
    "n_single_class",
    "n_multi_class",
    "n_significant",
    "share_significant",
    "median_height",
    "mean_height",
    "median_coverage",
    "mean_coverage",
    "mean_lower_height",
    "mean_log2_coverage",
    "median_log2_coverage",
    "rules",
)
"""What the other baselines have too."""
OWN_KEYS = ("fvu", "l0", "dead", "acc1_x", "acc1_z", "rate_nulls", "likeness_null", "average_precision")
"""What only a whole run has."""


def open_random_run(config: RunConfig, classes: tuple[str, ...]) -> Artifact | None:
    """The artifact of `config.random_backbone_run`; InputError unless it has the same classes and tau."""
    if config.random_backbone_run is None:
        return None
    artifact = Artifact.load(Path(config.random_backbone_run) / "artifact")
    got, tau = (artifact.classes, artifact.taxonomy_rule["tau"]), config.tau if classes else None
    if got != (classes, tau):
        expected = f"{len(classes)} classes at tau {tau}"
        raise InputError(f"{config.random_backbone_run}: {len(got[0])} classes at tau {got[1]}", f"the same {expected}")
    return artifact


def random_layer(artifact: Artifact | None, layer: str) -> dict[str, Any]:
    """`{"random_backbone": summary}` of a layer of the random run, or nothing where there is none."""
    if artifact is None or layer not in artifact.curves:
        return {}
    curves = artifact.curves[layer]
    numbers = {key: curves[key] for key in (*KEYS, *OWN_KEYS) if key in curves}
    return {"random_backbone": {"n": artifact.sae(layer).d_sae} | numbers}

"""faithfulness.json: how true relevancy maps are; fields in artifacts/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hsae.artifacts.documents.reading import item, listed, real, within
from hsae.faithfulness.curves import FRACTIONS
from hsae.faithfulness.report import FaithfulnessConfig, LayerScores
from hsae.faithfulness.summary import feature_columns, placement_table, removal_table


def write_faithfulness(scores: Mapping[str, LayerScores], images: str, config: FaithfulnessConfig) -> dict[str, Any]:
    """Plain JSON of the scores by layer; images: name of the photographs."""
    return {
        "images": images,
        "baselines": list(config.baselines),
        "fractions": [0.0, *FRACTIONS, 1.0],
        "seed": config.seed,
        "layers": {
            layer: {
                "removal": _records(removal_table(one.removals)),
                "placement": _records(placement_table(one.placements)),
                "features": feature_columns(one.removals, config.baselines[0]),
            }
            for layer, one in scores.items()
        },
    }


def read_gap(document: Mapping[str, Any] | None, layer: str, latent: int, method: str) -> float | None:
    """The gap of a latent's maps by a method over its photographs; None where it was not measured."""
    features = within(document, "layers", layer, "features")
    latents, gaps = listed(within(features, "latent")), listed(within(features, "gap", method))
    if latent not in latents or len(gaps) != len(latents):
        return None
    return real(item(gaps, latents.index(latent)))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain JSON, with None where a number does not exist."""
    rounded = frame.round(4).astype(object)
    return [
        {str(key): value for key, value in row.items()} for row in rounded.where(frame.notna(), None).to_dict("records")
    ]

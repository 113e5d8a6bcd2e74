"""faithfulness.json: how true relevancy maps are; fields in artifacts/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hsae.artifacts.documents.reading import item, listed, real, within
from hsae.faithfulness.curves import FRACTIONS
from hsae.faithfulness.report import FaithfulnessConfig, LayerScores
from hsae.faithfulness.summary import feature_columns, placement_table, removal_table
from hsae.measures.plain import records


def write_faithfulness(scores: Mapping[str, LayerScores], images: str, config: FaithfulnessConfig) -> dict[str, Any]:
    """Plain JSON of the scores by layer; images: name of the photographs."""
    return {
        "images": images,
        "baselines": list(config.baselines),
        "fractions": [0.0, *FRACTIONS, 1.0],
        "seed": config.seed,
        "layers": {
            layer: {
                "chosen": {"method": one.chosen, "n_photos": one.n_choice},
                "removal": records(removal_table(one.removals)),
                "placement": records(placement_table(one.placements)),
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

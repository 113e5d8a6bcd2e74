"""causal.json: whether steering a feature moves its WordNet subtree; fields in artifacts/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hsae.artifacts.documents.reading import listed, place, real, within
from hsae.steering.causal.experiment import CONDITIONS, Setting


@dataclass(frozen=True)
class Advantage:
    """By how much the logits of a node's classes rise above those of their siblings when a feature is set to its p999.

    Means over images, in logits.
    """

    feature: float
    random: float
    """Of a random direction of the same length."""
    other: float
    """Of another feature of equal firing rate."""
    ceiling: float | None = None
    """Of the mean of the node's images less that of the others."""
    node: str | None = None
    """Whose classes were looked at."""


def write_causal(layers: Mapping[str, dict[str, Any]], setting: Setting, n_images: int, data: str) -> dict[str, Any]:
    """Plain JSON; layers: what `LayerTest.run` returns, by name."""
    fixed = {"unit": "p999", "siblings": "least distance", "conditions": list(CONDITIONS)}
    return {"rules": {**asdict(setting), "data": data, "n_images": n_images, **fixed}, "layers": dict(layers)}


def resumed(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """The document `now` with the layers measured `before`, if that was under the same rules."""
    same = before is not None and before["rules"] == now["rules"]
    return {"rules": now["rules"], "layers": dict(before["layers"]) if before is not None and same else {}}


def read_advantage(document: Mapping[str, Any] | None, layer: str, latent: int) -> Advantage | None:
    """What the test measured for one feature; None when it was not tested."""
    rows = listed(within(document, "layers", layer, "features"))
    row = next((row for row in rows if place(within(row, "latent"), latent + 1) == latent), None)
    return _advantage(row)


def _advantage(row: Any) -> Advantage | None:
    """What the row of a feature says."""
    feature, random, other = (real(within(row, "set", name, "advantage")) for name in ("feature", "random", "other"))
    if feature is None or random is None or other is None:
        return None
    node = within(row, "node")
    ceiling = real(within(row, "set", "mean", "advantage"))
    return Advantage(feature, random, other, ceiling, node if isinstance(node, str) else None)

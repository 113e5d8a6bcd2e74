"""Do a layer's tokens cut a picture into segments that nest, and that follow its objects?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from hsae.backbones.base import Backbone
from hsae.backbones.cast import CASTBackbone
from hsae.measures.segments import Segments, cut, inside, inside_by_chance
from hsae.measures.statistics import against_control
from hsae.steering.segmentation.composites import Picture
from hsae.steering.segmentation.observed import Observed, patch_places

COUNTS = (2, 4, 8, 16)
"""Segments that a picture is cut into."""
OWN = "its own"
"""Stands in place of a layer where the model itself cuts pictures."""
EVERY = 4
"""Of the pixels of a model's own segments, every fourth row and column is looked at."""


@dataclass(frozen=True, eq=False)
class Levels:
    """A picture, cut by one layer."""

    layer: str
    by_count: dict[int, Segments]
    """From coarse to fine."""
    truth: Segments
    """The class of every place, 0 for background."""


def cut_by_layers(backbone: Backbone, layers: Sequence[str], seen: Iterable[Observed]) -> Iterator[Levels]:
    """Every picture at every layer with at least 16 patches, cut into 2 to 16 segments, each number by itself."""
    for number, one in enumerate(seen):
        for layer in layers:
            x = backbone.select_token(one.x[layer], layer, "patch")[0]
            levels = {count: cut(x, count, number) for count in COUNTS if count <= len(x)}
            yield Levels(layer, levels, one.patch_classes(patch_places(backbone, layer)))


@torch.no_grad()
def cut_by_model(backbone: CASTBackbone, pictures: Iterable[Picture]) -> Iterator[Levels]:
    """The segments that CAST itself makes of every picture, which nest by construction."""
    for image, truth in pictures:
        maps = backbone.segment_maps(backbone.pixels([image]))
        seen = [each[::EVERY, ::EVERY].flatten().cpu().numpy() for each in reversed(maps)]
        counts = reversed(backbone.segment_counts)
        yield Levels(OWN, dict(zip(counts, seen, strict=True)), truth[::EVERY, ::EVERY].ravel())


def segment_rows(levels: Iterable[Levels]) -> pd.DataFrame:
    """A row for every picture, layer and number of segments, each share beside those of chance.

    purity: of the segments, by the true objects. nested: how far they lie inside those of the next smaller number (NaN
    for the smallest). _shuffled: of random segments of the same sizes; _other: of the segments of the picture before
    (its places are the same, so smooth shapes alone explain as much), NaN for the first one.
    """
    rows, before = [], dict[tuple[str, int], Segments]()
    for one in levels:
        for count, segments in one.by_count.items():
            elsewhere = before.get((one.layer, count))
            smaller = [each for each in one.by_count if each < count]
            coarse = one.by_count[max(smaller)] if smaller else None
            row = {"layer": one.layer, "segments": count}
            row |= _beside_chance("purity", segments, elsewhere, one.truth)
            row |= _beside_chance("nested", segments, elsewhere, coarse)
            rows.append(row)
        before |= {(one.layer, count): segments for count, segments in one.by_count.items()}
    return pd.DataFrame(rows)


def segment_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A line for every layer and number of segments, means over pictures.

    purity_gain, nested_gain: above the segments of another picture, with 95 % intervals over pictures.
    """
    lines = []
    for (layer, count), part in rows.groupby(["layer", "segments"], sort=False):
        line = {"layer": layer, "segments": count, "pictures": len(part)}
        for name in ("purity", "nested"):
            gain = against_control(part[name].to_numpy(), part[f"{name}_other"].to_numpy())
            line |= {each: part[each].mean() for each in (name, f"{name}_shuffled", f"{name}_other")}
            line |= {f"{name}_gain": gain["difference"], f"{name}_low": gain["low"], f"{name}_high": gain["high"]}
        lines.append(line)
    return pd.DataFrame(lines)


def _beside_chance(
    name: str, segments: Segments, elsewhere: Segments | None, coarse: Segments | None
) -> dict[str, float]:
    if coarse is None:
        return dict.fromkeys((name, f"{name}_shuffled", f"{name}_other"), np.nan)
    return {
        name: inside(segments, coarse),
        f"{name}_shuffled": inside_by_chance(segments, coarse),
        f"{name}_other": np.nan if elsewhere is None else inside(elsewhere, coarse),
    }

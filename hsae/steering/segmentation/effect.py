"""What a patch head says after the features that carry a class were switched off, beside three controls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hsae.measures.statistics import against_control, interval
from hsae.steering.controls import along
from hsae.steering.editor import Editor
from hsae.steering.edits import Edit, Op, Scope
from hsae.steering.segmentation.carriers import Reading, strongest
from hsae.steering.segmentation.maps import class_map, pixel_classes
from hsae.steering.segmentation.observed import Observed, patch_places

REGIONS = ("target", "neighbour", "background")
ARMS = ("features", "random", "equal_rate", "probe")
KEYS = ["scope", "latents", "arm"]


@dataclass(frozen=True, eq=False)
class Suppression:
    """Switch features off that carry a class, on the object's patches or on all, and push as far in other directions.

    Controls, all of the same length at every patch: a random direction; other features of equal firing rate; and,
    as what labels can do, away from the class along the direction of a probe at the features' layer.
    """

    reading: Reading
    carriers: Tensor
    """`[n_classes, d_sae]`, of `class_carriers`, from other pictures than those that are scored."""
    frequency: np.ndarray
    """Firing rate of each latent, `[d_sae]`."""
    probe: Tensor
    """Direction of each class at the features' layer, `[n_classes, d_in]`."""
    latents: tuple[int, ...] = (4, 16)
    """How many are switched off together."""
    seed: int = 0

    def rows(self, seen: Iterable[Observed]) -> pd.DataFrame:
        """One row per picture, class in it, scope, number of latents and arm, with the share of pixels that changed.

        Columns: label (the class's index), `KEYS`, and `REGIONS`: shares in [0, 1] of the pixels that showed the class
        and were called so; of those of other objects that were called by their names; of the background's. NaN where
        there are no such pixels.
        """
        places = patch_places(self.reading.backbone, self.reading.reads)
        rows = [row for at, one in enumerate(seen) for row in self._of_picture(one, places, self.seed + at)]
        return pd.DataFrame(rows, columns=["label", *KEYS, *REGIONS])

    def _of_picture(self, one: Observed, places: np.ndarray, seed: int) -> Iterator[tuple[object, ...]]:
        classes, size, reading = one.patch_classes(places), len(one.truth), self.reading
        before = class_map(reading.backbone, reading.head, one.x[reading.reads], reading.reads, size)
        for label in np.unique(classes[classes > 0]).tolist():
            regions = _regions(one.truth, before, label)
            if not regions[0].any():
                continue  # the head does not see it, so nothing can be taken away
            where: dict[str, Scope] = {"object": tuple(np.flatnonzero(classes == label).tolist()), "all": "patches"}
            for scope, patches in where.items():
                for n in self.latents:
                    for arm, after in self._arms(one.x, label, patches, n, seed).items():
                        changed = (_share(after != before, region) for region in regions)
                        yield (label, scope, n, arm, *changed)

    def _arms(self, x: dict[str, Tensor], label: int, scope: Scope, n: int, seed: int) -> dict[str, np.ndarray]:
        """Class maps after each arm; of none when no carrier fires there."""
        reading, layer = self.reading, self.reading.layer
        latents = strongest(self.carriers, label, n)
        if not latents:
            return {}
        editor = Editor(
            reading.backbone, {layer: reading.sae}, {layer: np.ones(reading.sae.d_sae)}, {layer: self.frequency}
        )
        run = editor.run([Edit(layer, tuple(Op(j, "off") for j in latents), scope)], x, [layer])
        if not run.touches(0):
            return {}
        controls, delta = editor.controls(run, seed), run.deltas[layer]
        others = (controls["control"][layer], controls["feature_control"][layer], along(delta, -self.probe[label]))
        size = reading.backbone.preprocessing.image_size
        rows, _ = reading.backbone.grid(reading.reads, size, size)
        with torch.no_grad():
            logits = reading.logits(x[layer] + torch.cat([delta, *others]))
        return dict(zip(ARMS, pixel_classes(logits, rows, size), strict=True))


def _regions(truth: np.ndarray, said: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In the order of `REGIONS`, each bool `[height, width]`."""
    seen = truth == said
    return (truth == label) & seen, (truth > 0) & (truth != label) & seen, truth == 0


def _share(changed: np.ndarray, region: np.ndarray) -> float:
    return float(changed[region].mean()) if region.any() else np.nan


def summary(rows: pd.DataFrame) -> list[dict[str, object]]:
    """Means over classes, one entry per scope, number of latents and arm, as plain JSON.

    A class counts once, however many pictures show it. Beside each mean its 95 % bootstrap interval over classes; for
    the features also, against every control, the paired difference in `target` with interval and one-sided p.
    """
    by_class = rows.groupby([*KEYS, "label"])[list(REGIONS)].mean()
    entries: list[dict[str, object]] = []
    for keys, part in by_class.groupby(level=KEYS):
        entry: dict[str, object] = {**dict(zip(KEYS, keys, strict=True)), "classes": len(part)}
        entry |= {region: interval(part[region].to_numpy()) for region in REGIONS}
        if entry["arm"] == ARMS[0]:
            entry["against"] = {arm: _against(by_class, part, (*keys[:2], arm)) for arm in ARMS[1:]}
        entries.append(entry)
    return entries


def _against(by_class: pd.DataFrame, features: pd.DataFrame, control: tuple[object, ...]) -> dict[str, float | None]:
    values = features["target"].droplevel(KEYS)
    return against_control(values.to_numpy(), by_class.loc[control, "target"].reindex(values.index).to_numpy())

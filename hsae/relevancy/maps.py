"""A relevancy map: one number per patch, and how it is enlarged and shown."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.functional import interpolate

from hsae.backbones.base import nearest_cells


@dataclass(frozen=True, eq=False)
class RelevancyMap:
    """One number per patch, on the method's own scale: comparable inside a map, and across maps of one target."""

    values: np.ndarray
    """`[rows, cols]` float32, over the square that `Preprocessing.crop` shows; may be negative for signed methods.

    One row where the layer has `segments`.
    """
    method: str
    layer: str
    target_value: float
    """What the target reads for this image: for a latent its pre-activation, in units of the activations."""

    segments: np.ndarray | None = None
    """Of a layer without rows and columns: the segment of every pixel, int `[height, width]`, -1 for none."""

    def upsampled(self, height: int, width: int) -> np.ndarray:
        """The values enlarged to `[height, width]` float32, scale kept: bilinearly, or by segment (0 outside)."""
        if self.segments is not None:
            return self._paint(self.segments, height, width)
        grid = torch.from_numpy(self.values)[None, None]
        return interpolate(grid, size=(height, width), mode="bilinear", align_corners=False)[0, 0].numpy()

    def _paint(self, segments: np.ndarray, height: int, width: int) -> np.ndarray:
        rows, columns = segments.shape
        pixels = nearest_cells(rows, columns, height, width).numpy()
        return np.append(self.values.ravel(), np.float32(0))[segments.ravel()[pixels]]

    @property
    def limit(self) -> float:
        """The 99th percentile of |values| (when that is 0 the largest, when that is 0 one): the end of colour scales.

        A few artefact tokens of late blocks carry very large norms and would make the rest of the map invisible.
        """
        return float(np.percentile(np.abs(self.values), 99)) or float(np.abs(self.values).max()) or 1.0

    def displayed(self, height: int, width: int) -> np.ndarray:
        """For display only: divided by `limit`, clipped to [-1, 1] and enlarged; 0 stays 0."""
        clipped = np.clip(self.values / np.float32(self.limit), -1, 1)
        return replace(self, values=clipped).upsampled(height, width)

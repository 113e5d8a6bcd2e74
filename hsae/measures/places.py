"""Where on photographs latents of patches fire: in patches that hang together, or always at the same place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.errors import InputError

HIGH_NORM = 1.5
"""A patch has a high norm from so many times its image's median: such tokens hold no place (arXiv 2309.16588)."""
MIN_FIRINGS = 20
"""Patches on which a latent must fire before a share of them is said."""
RISING = 5
"""Latents of a picture that are asked where they are strongest."""
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class LatentPlaces:
    """Of every latent, `[d_sae]` each; NaN for one that never fires."""

    coherence: NDArray[np.float64]
    """Moran's I of its map over neighbouring patches, mean over the images on which it fires, in [-1, 1]: 1 is one
    smooth patch, chance is -1 / (patches - 1)."""
    place_variance: NDArray[np.float64]
    """Share in [0, 1] of the variance of its values that the place alone explains: the correlation ratio less its value
    by chance, (ratio - 1 / images) / (1 - 1 / images); 0 where it is no larger."""
    high_norm_share: NDArray[np.float64]
    """Share in [0, 1] of the sum of its values that lies at patches of a high norm."""


class PlacesFitter:
    """Sees latents image by image, `rows x columns` patches each, and keeps sums only: patches x d_sae numbers."""

    def __init__(self, d_sae: int, grid: tuple[int, int]) -> None:
        self._grid, n_patches = grid, grid[0] * grid[1]
        self._by_place = torch.zeros(n_patches, d_sae, dtype=torch.float64)
        self._squares, self._at_high, self._moran, self._firing = torch.zeros(4, d_sae, dtype=torch.float64)
        self._n = 0

    def update(self, z: Tensor, norms: Tensor) -> PlacesFitter:
        """Add images: latents `[images, patches, d_sae]` and the norms of the activations, `[images, patches]`."""
        if z.shape[1:] != self._by_place.shape or norms.shape != z.shape[:2]:
            got = f"latents {tuple(z.shape)} with norms {tuple(norms.shape)}"
            raise InputError(got, f"[images, {', '.join(map(str, self._by_place.shape))}] and [images, patches]")
        high = norms > HIGH_NORM * norms.median(1, keepdim=True).values
        fires = (z > 0).any(1)
        self._by_place += z.sum(0)
        self._squares += z.square().sum((0, 1))
        self._at_high += (z * high.unsqueeze(-1)).sum((0, 1))
        self._moran += (morans_i(z, self._grid) * fires).sum(0)
        self._firing += fires.sum(0)
        self._n += len(z)
        return self

    def compute(self) -> LatentPlaces:
        """What the images so far say; InputError without any."""
        if not self._n:
            raise InputError("places over no images", "at least one")
        total, n_patches = self._by_place.sum(0), len(self._by_place)
        variance = self._squares / (self._n * n_patches) - (total / (self._n * n_patches)).square()
        between = (self._by_place / self._n).var(0, correction=0)
        known = total > 0

        def share(above: Tensor, below: Tensor) -> NDArray[np.float64]:
            return torch.where(known, above / below.clamp_min(_TINY), torch.nan).numpy()

        chance = 1 / self._n  # a mean over the images varies by so much of the variance even when places do not matter
        return LatentPlaces(
            coherence=share(self._moran, self._firing),
            place_variance=share((between - chance * variance).clamp_min(0), max(1 - chance, _TINY) * variance),
            high_norm_share=share(self._at_high, total),
        )


def morans_i(z: Tensor, grid: tuple[int, int]) -> Tensor:
    """I = mean over neighbouring pairs of (z_i - m)(z_j - m) / mean of (z_i - m)^2, m the mean of the map.

    z `[images, patches, n]` on `grid` rows x columns, neighbours share an edge; gives `[images, n]` in [-1, 1] (0 for a
    map that is the same everywhere). Moran, Biometrika 37, 1950.
    """
    maps = z.unflatten(1, grid)
    rest = maps - maps.mean((1, 2), keepdim=True)
    beside = (rest[:, :, 1:] * rest[:, :, :-1]).sum((1, 2)) + (rest[:, 1:] * rest[:, :-1]).sum((1, 2))
    pairs = grid[0] * (grid[1] - 1) + grid[1] * (grid[0] - 1)
    variance = rest.square().mean((1, 2))
    return torch.where(variance > _TINY, beside / max(1, pairs) / variance.clamp_min(_TINY), 0.0)


def share_inside(z: Tensor, inside: Tensor) -> NDArray[np.float64]:
    """Of the patches on which each latent fires, the share that lies inside a mask: precision of "fires on the object".

    z `[n, d_sae]`, inside bool `[n]`; gives `[d_sae]` in [0, 1], NaN for fewer than `MIN_FIRINGS` patches. Chance is
    the share of all patches that lie inside.
    """
    fires = z > 0
    n = fires.sum(0)
    hits = (fires & inside.unsqueeze(-1)).sum(0)
    return torch.where(n >= MIN_FIRINGS, hits / n.clamp_min(1), torch.nan).double().numpy()


def pointing(z: Tensor, empty: Tensor, inside: Tensor) -> float:
    """Share in [0, 1] of the latents that an object raises most whose strongest patch lies on it.

    z, empty `[pictures, patches, d_sae]`: latents with and without the object; in each picture those 5 count whose
    largest value rises most. inside bool `[pictures, patches]`. Chance is the share of patches inside.
    """
    rising = (z.amax(1) - empty.amax(1)).topk(min(RISING, z.shape[2]), dim=1).indices
    strongest = z.argmax(1).gather(1, rising)
    return float(inside.gather(1, strongest).double().mean())

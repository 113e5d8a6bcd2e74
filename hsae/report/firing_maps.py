"""Where latents of patches fire in the starter photographs on which they are strongest, known without the backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.sae.model import SparseAutoencoder

MAPS = 4
"""Photographs of each latent that are looked at, at most."""


@dataclass(frozen=True, eq=False)
class FiringMaps:
    """Of one layer."""

    grid: tuple[int, int]
    """Rows and columns of its patches."""
    latents: list[dict[str, NDArray[np.uint8]]]
    """One per latent, by key of the photograph `[patches]`: its value at each patch, 255 at the strongest one."""


class FiringMapsFitter:
    """Sees photographs one by one and keeps where their latents fire."""

    def __init__(self, sae: SparseAutoencoder, strongest: Sequence[Sequence[str]], grid: tuple[int, int]) -> None:
        """strongest: for each latent keys of photographs, the strongest first."""
        self._sae = sae
        self._of: dict[str, list[int]] = {}
        for latent, keys in enumerate(strongest):
            for key in keys[:MAPS]:
                self._of.setdefault(key, []).append(latent)
        self._found = FiringMaps(grid, [{} for _ in strongest])

    @torch.no_grad()
    def update(self, key: str, patches: Tensor) -> None:
        """A photograph's activations `[patches, d_in]`."""
        latents = self._of.get(key, [])
        if not latents:
            return
        values = self._sae.encode(patches)[:, latents]
        scaled = (255 * values / values.amax(0).clamp(min=torch.finfo(values.dtype).tiny)).round()
        for latent, column in zip(latents, scaled.to(torch.uint8).T.cpu().numpy(), strict=True):
            self._found.latents[latent][key] = column

    def compute(self) -> FiringMaps:
        """The maps so far."""
        return self._found

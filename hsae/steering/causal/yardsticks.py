"""Directions that a feature is compared with, fitted on images that are not moved themselves.

random  drawn from N(0, cov(x)), another for every feature
frozen  the one of as many of these as the SAE has latents that tells the node best: a dictionary never trained
mean    mean activation of the images under the node less that of the others: a ceiling
probe   ridge regression of "the image is under the node": a ceiling
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.measures.directions import random_directions
from hsae.measures.wordnet import LabelledScores, node_fits
from hsae.measures.wordnet.node_probes import fit_node_probes

_UNDER = np.array([[False, True]])  # the only node over the classes "not under it" and "under it"


@dataclass(frozen=True, eq=False)
class Yardsticks:
    """Directions `[d_in]` of any length."""

    x: Tensor
    """Activations of the images that are not moved, `[n_images, d_in]`."""
    n_latents: int
    seed: int = 0

    def random(self, latent: int) -> Tensor:
        """The direction of one latent."""
        return self._random[latent]

    def of_node(self, under: NDArray[np.bool_]) -> dict[str, Tensor]:
        """frozen, mean and probe of a node with the images `under [n_images]`; empty where these are all or none."""
        if not 0 < under.sum() < len(under):
            return {}
        rows = torch.from_numpy(under)
        gains = node_fits(LabelledScores(self._scores, under.astype(np.int64)), _UNDER, min_said=1).ap_gain[:, 0]
        return {
            "frozen": self._random[int(gains.argmax())],
            "mean": self.x[rows].mean(0) - self.x[~rows].mean(0),
            "probe": fit_node_probes(self.x, rows.long(), torch.from_numpy(_UNDER)).W[:, 0],
        }

    @cached_property
    def _random(self) -> Tensor:
        return random_directions(self.x, self.n_latents, self.seed)

    @cached_property
    def _scores(self) -> NDArray[np.float32]:
        return (self.x @ self._random.T).numpy()

"""Profile of a latent for its card: histogram of its activations, and the classes it fires on most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array

BINS = 10
"""Of equal width, from 0 to the latent's largest activation."""
TOP = 5
"""Classes with the highest firing rates."""


@dataclass(frozen=True)
class Profile:
    """Images by activation, in equal bins from 0 to the maximum; (column, percent) of the classes it fires for most."""

    counts: tuple[int, ...]
    classes: tuple[tuple[int, int], ...]


def latent_profiles(z: csr_array, rates: np.ndarray) -> list[Profile | None]:
    """One profile per latent of `z [n_images, d_sae]`; None for one that never fires.

    rates `[d_sae, n_classes]`: the share of a class's images a latent fires on, in [0, 1] (NaN without images); a
    profile has up to `TOP` classes, the highest rates first.
    """
    columns = csc_array(z)
    order = np.argsort(-np.nan_to_num(rates), axis=1, kind="stable")[:, :TOP]
    profiles: list[Profile | None] = []
    for latent in range(z.shape[1]):
        values = columns.data[columns.indptr[latent] : columns.indptr[latent + 1]]
        positive = values[values > 0]
        profiles.append(_profile(positive, order[latent], rates[latent]) if len(positive) else None)
    return profiles


def _profile(values: np.ndarray, classes: np.ndarray, rates: np.ndarray) -> Profile:
    counts, _ = np.histogram(values, BINS, (0, values.max()))
    shares = [(column, round(100 * float(rates[column]))) for column in classes.tolist() if rates[column] > 0]
    return Profile(tuple(counts.tolist()), tuple(shares))

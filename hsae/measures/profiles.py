"""What a latent's card draws: how strongly it fires how often, and on which classes most."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csc_array, csr_array

BINS = 10
"""Of equal width, from 0 to the latent's largest activation."""
TOP = 5
"""Classes with the highest firing rates."""


def profile_lines(z: csr_array, rates: np.ndarray) -> list[str]:
    """One line a latent: `n n ...|class percent class percent ...`; empty for one that never fires.

    The counts of images `z [n_images, d_sae]` by activation in `BINS` bins; then up to `TOP` classes by column, with
    the share of their images it fires on, from rates `[d_sae, n_classes]` in [0, 1] (NaN without images).
    """
    columns = csc_array(z)
    order = np.argsort(-np.nan_to_num(rates), axis=1, kind="stable")[:, :TOP]
    lines = []
    for latent in range(z.shape[1]):
        values = columns.data[columns.indptr[latent] : columns.indptr[latent + 1]]
        positive = values[values > 0]
        lines.append(_line(positive, order[latent], rates[latent]) if len(positive) else "")
    return lines


def _line(values: np.ndarray, classes: np.ndarray, rates: np.ndarray) -> str:
    counts, _ = np.histogram(values, BINS, (0, values.max()))
    shares = [f"{column} {round(100 * rates[column])}" for column in classes.tolist() if rates[column] > 0]
    return " ".join(map(str, counts)) + "|" + " ".join(shares)


def profile_document(lines: dict[str, list[str]]) -> dict[str, Any]:
    """Plain JSON of all layers' lines."""
    return {"bins": BINS, "layers": lines}

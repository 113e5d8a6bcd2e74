"""How bad are the mistakes? The height in WordNet at which what was said meets what is true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsae.measures.statistics import AgainstNull, against_null
from hsae.measures.wordnet.class_means import SHUFFLES

Classes = NDArray[np.int64]


def severity(truth: Classes, said: Classes, heights: NDArray[np.int64], seed: int = 0) -> AgainstNull | None:
    """Mean height of LCH(true class, said class) over the images said wrongly: small when near relatives are confused.

    truth, said `[n_images]` columns of `heights [n_classes, n_classes]`, those of the LCH. Chance deals what was said
    out among the mistakes anew, so that it says every class as often; draws that hit the truth are left out. None for
    fewer than two mistakes. (Bertinetto et al. 2020, arXiv 1912.09393.)
    """
    wrong = truth != said
    truth, said = truth[wrong], said[wrong]
    if len(truth) < 2:
        return None
    random = np.random.default_rng(seed)
    draws = np.array([_mean_height(truth, random.permutation(said), heights) for _ in range(SHUFFLES)])
    return against_null(_mean_height(truth, said, heights), draws[~np.isnan(draws)], smaller=True)


def _mean_height(truth: Classes, said: Classes, heights: NDArray[np.int64]) -> float:
    wrong = truth != said
    return float(heights[truth[wrong], said[wrong]].mean()) if wrong.any() else np.nan

"""Does a space of images and texts keep the order from general to specific? Captions of chains, in scores per chain.

Every score of an image is one for each chain, so that chance is the same score with the images' chains exchanged.
Embeddings have unit length; e(.) is a caption's, r that of the empty text, and rho = |e - r| the caption's radius.
Depth correlation, precision and recall are those of HierarCaps, exterior angles those of its training (Alper and
Averbuch-Elor, ECCV 2024, arXiv 2407.08521).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from hsae.measures.statistics import AgainstNull, against_null

THRESHOLDS = 50
"""Radii at which the text nearest to an image is looked for."""
SHUFFLES = 200
SAME = 1e-9
"""Captions nearer than this are one: rounding alone tells them apart."""
Numbers = NDArray[np.float64]
Chain = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Captions:
    """Embedded captions, and the chains that they are in."""

    texts: Numbers
    """`[n_texts, d]`, unit length."""
    root: Numbers
    """Of the empty text, `[d]`."""
    chains: Sequence[Chain]
    """For every class the rows of its captions, the most general first, its own last."""

    @cached_property
    def radii(self) -> Numbers:
        """rho of every caption, `[n_texts]`."""
        return np.linalg.norm(self.texts - self.root, axis=1)

    @cached_property
    def angles(self) -> Numbers:
        """Exterior angles of the last captions of chains seen from all, `[n_chains, n_texts]`, in [0, pi].

        arccos of the cosine between e - r and e' - e: 0 where e' lies straight behind e, as the specific should behind
        the general. pi for e' = e, where there is no angle.
        """
        last = self.texts[[chain[-1] for chain in self.chains]]
        out = self.texts - self.root
        products = last @ out.T - (self.texts * out).sum(1)
        lengths = cdist(last, self.texts) * self.radii
        cosines = np.divide(products, lengths, out=np.full(lengths.shape, -1.0), where=lengths > SAME)
        return np.arccos(cosines.clip(-1, 1))


def order_scores(values: Numbers, chains: Sequence[Chain]) -> Numbers:
    """Kendall's tau of `values [n, n_texts]` with the place in each chain, `[n, n_chains]` in [-1, 1].

    (rising - falling pairs) / pairs; NaN for a chain of one.
    """
    scores = np.full((len(values), len(chains)), np.nan)
    for number, chain in enumerate(chains):
        i, j = np.triu_indices(len(chain), 1)
        if len(i):
            scores[:, number] = np.sign(values[:, chain[j]] - values[:, chain[i]]).mean(1)
    return scores


def precision_scores(similarity: Numbers, chains: Sequence[Chain]) -> Numbers:
    """Average precision of each chain's captions among all, the most similar first: `[n, n_chains]` in (0, 1].

    similarity `[n, n_texts]`.
    """
    order = np.argsort(-similarity, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, similarity.shape[1] + 1)[None].repeat(len(order), 0), axis=1)
    return np.stack([(_counted(chain) / np.sort(ranks[:, chain], axis=1)).mean(1) for chain in chains], axis=1)


def found(similarity: Numbers, radii: Numbers) -> NDArray[np.bool_]:
    """Which captions each image finds, `[n, n_texts]`: at 50 radii from the least to the largest, the most similar of
    those within.
    """
    thresholds = np.linspace(radii.min(), radii.max(), THRESHOLDS)
    seen = np.zeros(similarity.shape, dtype=bool)
    for threshold in thresholds:
        nearest = np.where(radii <= threshold, similarity, -np.inf).argmax(1)
        seen[np.arange(len(seen)), nearest] = True
    return seen


def cone_scores(captions: Captions) -> Numbers:
    """Share of pairs of a chain's ancestors and strangers to it in which the ancestor has the smaller angle.

    `[n_chains, n_chains]`: of the last caption of a chain (rows), by each chain (columns), in [0, 1]. NaN for a chain
    without ancestors.
    """
    scores = np.full((len(captions.chains),) * 2, np.nan)
    for number, chain in enumerate(captions.chains):
        strangers = np.setdiff1d(np.arange(len(captions.texts)), chain)
        if len(chain) > 1 and len(strangers):
            ancestors, others = captions.angles[:, chain[:-1], None], captions.angles[:, None, strangers]
            scores[:, number] = ((ancestors < others) + (ancestors == others) / 2).mean((1, 2))
    return scores


def text_measures(images: Numbers, labels: NDArray[np.int64], captions: Captions) -> dict[str, AgainstNull | None]:
    """Every measure beside chance; images `[n, d]` of unit length, labels `[n]` which chain is each image's.

    path_order: tau of an image's similarity to its chain's captions with depth. ancestors_first: average precision of
    the chain among all captions. precision, recall: of what each image finds (`found`): share that is its chain's, and
    share of the chain. depth_correlation: tau of the radius with depth. cones: `cone_scores`. Chance deals chains out
    anew among classes, radii among captions. None where no chain is long enough.
    """
    similarity, chains = images @ captions.texts.T, captions.chains
    seen = found(similarity, captions.radii)
    hits = np.stack([seen[:, chain].sum(1) for chain in chains], axis=1)
    own = np.arange(len(chains))
    return {
        "path_order": _own(order_scores(similarity, chains), labels),
        "ancestors_first": _own(precision_scores(similarity, chains), labels),
        "precision": _own(hits / seen.sum(1, keepdims=True), labels),
        "recall": _own(hits / np.array([len(chain) for chain in chains]), labels),
        "depth_correlation": _depth(captions.radii, chains),
        "cones": _own(cone_scores(captions), own),
    }


def _own(scores: Numbers, labels: NDArray[np.int64], seed: int = 0) -> AgainstNull | None:
    """Mean score by each row's own chain, against chains dealt out anew."""
    random = np.random.default_rng(seed)
    rows, n = np.arange(len(scores)), scores.shape[1]
    return _against(
        scores[rows, labels], lambda: scores[rows, random.permutation(n)[labels]], np.isfinite(scores).any()
    )


def _depth(radii: Numbers, chains: Sequence[Chain], seed: int = 0) -> AgainstNull | None:
    random = np.random.default_rng(seed)
    value = order_scores(radii[None], chains)
    return _against(value, lambda: order_scores(random.permutation(radii)[None], chains), np.isfinite(value).any())


def _against(value: Numbers, draw: Callable[[], Numbers], measurable: np.bool_) -> AgainstNull | None:
    if not measurable or not np.isfinite(value).any():
        return None
    return against_null(float(np.nanmean(value)), np.array([np.nanmean(draw()) for _ in range(SHUFFLES)]))


def _counted(chain: Chain) -> NDArray[np.int64]:
    return np.arange(1, len(chain) + 1)

"""How well a latent's strength ranks the images of a WordNet node before all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from hsae.errors import InputError

_CELLS = 2**22  # ranked images x nodes at once; bounds memory at some 60 MB
Rows = NDArray[np.float64]


def average_precision(z: csr_array, labels: NDArray[np.int64], members: NDArray[np.bool_]) -> Rows:
    """AP = sum_n (R_n - R_{n-1}) P_n of every latent for "the image's class is under the node": `[d_sae, n_nodes]`.

    P_n and R_n are precision and recall among the images with an activation of at least the n-th largest value (equal
    values count together, as in scikit-learn; so do all images on which the latent is silent). z `[n_images, d_sae]`
    >= 0, labels `[n_images]` >= 0, members bool `[n_nodes, n_classes]`. In (0, 1]: chance is the share of the node's
    images, which is also what a silent latent gets; NaN for a node without images.
    """
    _check(z, labels, members)
    positives = np.bincount(labels, minlength=members.shape[1]) @ members.T
    columns = csc_array(z)
    return np.stack(
        [_precisions(*_rank(columns, f, labels), members, positives, len(labels)) for f in range(z.shape[1])]
    )


def average_precision_at(z: csr_array, labels: NDArray[np.int64], members: NDArray[np.bool_]) -> Rows:
    """AP of every latent for its own row of `members [d_sae, n_classes]`: `[d_sae]`; see average_precision."""
    _check(z, labels, members)
    images = np.bincount(labels, minlength=members.shape[1])
    columns, precisions = csc_array(z), np.full(z.shape[1], np.nan)
    for f, row in enumerate(members):
        precisions[f] = _precisions(*_rank(columns, f, labels), row[None], row[None] @ images, len(labels))[0]
    return precisions


def _rank(columns: csc_array, latent: int, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels of the images on which the latent fires, strongest first, and how many are at least as strong as each."""
    place = slice(columns.indptr[latent], columns.indptr[latent + 1])
    order = np.argsort(-columns.data[place], kind="stable")
    values = columns.data[place][order]
    as_strong = np.searchsorted(-values, -values, side="right")
    return labels[columns.indices[place][order]], as_strong


def _precisions(
    classes: NDArray[np.int64],
    as_strong: NDArray[np.int64],
    members: NDArray[np.bool_],
    positives: NDArray[np.int64],
    n_images: int,
) -> Rows:
    """AP for every row of members `[n_nodes, n_classes]`; positives `[n_nodes]`, images of each."""
    at_once = max(1, _CELLS // max(1, len(classes)))
    hits, gained = np.zeros(len(members)), np.zeros(len(members))
    for start in range(0, len(members), at_once if len(classes) else len(members)):
        part = slice(start, start + at_once)
        relevant = members[part][:, classes].T
        hits_so_far = relevant.cumsum(axis=0, dtype=np.int32)
        if len(classes):
            hits[part] = hits_so_far[-1]
            gained[part] = (relevant * (hits_so_far[as_strong - 1] / as_strong[:, None])).sum(axis=0)
    silent = (positives - hits) * positives / max(1, n_images)  # they rank together, after all others
    return np.divide(gained + silent, positives, out=np.full(len(members), np.nan), where=positives > 0)


def _check(z: csr_array, labels: NDArray[np.int64], members: NDArray[np.bool_]) -> None:
    if z.shape[0] != len(labels) or (len(labels) and not 0 <= labels.min() <= labels.max() < members.shape[1]):
        raise InputError(
            f"{len(labels)} labels of {members.shape[1]} classes for {z.shape[0]} images", "a class for every image"
        )

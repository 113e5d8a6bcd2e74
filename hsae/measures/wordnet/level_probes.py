"""Probes of every level of a taxonomy, which know nothing of each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.measures.wordnet.node_probes import fit_node_probes

PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""Of ridge regression, tried for every level on the choice images."""
Groups = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Labelled:
    """Activations `x [n, d_in]` of labelled images; labels `[n]` are columns of a taxonomy."""

    x: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class LayerImages:
    """Images that train probes, choose their penalty, and test them."""

    train: Labelled
    choice: Labelled
    test: Labelled


def read_levels(images: LayerImages, groups: Groups) -> Groups:
    """What the probes of each level say of the test images, `[levels, n_images]`; groups: `[levels, n_classes]`.

    A probe regresses "is in the group" for every group of its level and says the one with the largest answer; its
    penalty is that with the most choice images right. Least squares, because one solution serves all levels.
    """
    names = [np.unique(level) for level in groups]
    members = np.concatenate([each[:, None] == level for each, level in zip(names, groups, strict=True)])
    share = torch.from_numpy(members[:, images.train.labels.numpy()].mean(axis=1)).float()
    best, said = np.full(len(groups), -1.0), np.empty((len(groups), len(images.test.labels)), dtype=np.int64)
    for ridge in PENALTIES:
        probes = fit_node_probes(images.train.x, images.train.labels, torch.from_numpy(members), ridge)
        choice, test = (_largest(probes.scores(part.x) + share, names) for part in (images.choice, images.test))
        right = (choice == groups[:, images.choice.labels.numpy()]).mean(axis=1)
        better = right > best
        best[better], said[better] = right[better], test[better]
    return said


def _largest(scores: Tensor, names: list[Groups]) -> Groups:
    """The group with the largest score at every level, `[levels, n_images]`."""
    parts = scores.split([len(each) for each in names], dim=1)
    return np.stack([each[part.argmax(1).numpy()] for each, part in zip(names, parts, strict=True)])

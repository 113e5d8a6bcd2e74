"""Superpixels: an image cut into small connected pieces of one colour each, for models whose tokens are segments."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import nearest_cells

log = logging.getLogger(__name__)

STEP = 16
"""A superpixel starts as a square of so many pixels."""
COMPACTNESS = 10.0
ITERATIONS = {"seeds": 20, "slic": 10}

Method = Literal["seeds", "slic"]


def available_method() -> Method:
    """`seeds`, or `slic` where OpenCV comes without its contributed modules."""
    import cv2

    return "seeds" if hasattr(cv2, "ximgproc") else "slic"


def warn_of(method: Method, model: str) -> None:
    """Say it when a model gets superpixels of another kind than it was trained on."""
    if method != "seeds":
        log.warning(
            "%s was trained on SEEDS superpixels and now gets k-means ones (SLIC): its activations differ from those "
            "it was meant to have. Install opencv-contrib-python in place of opencv-python for the real ones.",
            model,
        )


def superpixels(rgb: np.ndarray, method: Method) -> Tensor:
    """Label of every pixel, int64 `[height, width]`, one label for every 16 x 16 pixels; sides divisible by 16.

    rgb: uint8 `[height, width, 3]`. `seeds`: van den Bergh et al. 2012 (arXiv 1309.3848) on Lab colours.
    """
    import cv2

    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    rows, columns = lab.shape[0] // STEP, lab.shape[1] // STEP
    return _slic(torch.from_numpy(lab).float(), rows, columns) if method == "slic" else _seeds(lab, rows * columns)


def _seeds(lab: np.ndarray, count: int) -> Tensor:
    import cv2

    height, width = lab.shape[:2]
    cutter = cv2.ximgproc.createSuperpixelSEEDS(
        width, height, 3, num_superpixels=count, num_levels=1, prior=2, histogram_bins=15, double_step=False
    )
    cutter.iterate(lab, ITERATIONS["seeds"])
    return torch.from_numpy(cutter.getLabels()).long()


def _slic(lab: Tensor, rows: int, columns: int) -> Tensor:
    """k-means of colour and place, each pixel choosing among the 3 x 3 squares around it (Achanta et al. 2012).

    Distance^2 = ||colour||^2 + (compactness / 16)^2 ||place||^2. Pieces are not made connected afterwards.
    """
    height, width = lab.shape[:2]
    count = rows * columns
    place = torch.cartesian_prod(torch.arange(height), torch.arange(width)) * (COMPACTNESS / STEP)
    order = nearest_cells(rows, columns, height, width).flatten().argsort(stable=True)  # square by square
    points = torch.cat([lab.flatten(0, 1), place], 1)[order]
    nearby = _neighbours(rows, columns)
    labels, centres = torch.arange(count).repeat_interleave(STEP * STEP), points.new_zeros(count, points.shape[1])
    for _ in range(ITERATIONS["slic"]):
        centres = segment_means(points, labels, count, centres)
        distances = torch.cdist(points.view(count, STEP * STEP, -1), centres[nearby])
        labels = nearby.gather(1, distances.argmin(-1)).flatten()
    return torch.empty_like(labels).scatter_(0, order, labels).view(height, width)


def _neighbours(rows: int, columns: int) -> Tensor:
    """For each square itself and the eight around it, `[rows * columns, 9]`; at borders some are named twice."""
    row, column = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).unbind(1)
    steps = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
    around = (row[:, None] + steps[:, 0]).clamp(0, rows - 1) * columns
    return around + (column[:, None] + steps[:, 1]).clamp(0, columns - 1)


def segment_means(x: Tensor, labels: Tensor, count: int, empty: Tensor | None = None) -> Tensor:
    """Mean of the rows `x [n, d]` with each label `[n]`, `[count, d]`; labels without rows keep theirs in `empty`."""
    sums = x.new_zeros(count, x.shape[1]).index_add(0, labels, x)
    sizes = torch.bincount(labels, minlength=count)[:, None]
    means = sums / sizes.clamp_min(1)
    return means if empty is None else torch.where(sizes > 0, means, empty)


def sampled(labels: Tensor, stride: int, count: int) -> Tensor:
    """Labels `[height, width]` at every `stride`-th pixel, such that each of the `count` labels has a place.

    A label that none of these pixels has takes the one nearest to the middle of its own pixels, of those whose label
    has another place left. Labels without any pixel come last and take what is near the corner.
    """
    places = labels[::stride, ::stride].clone()
    sizes = torch.bincount(places.flatten(), minlength=count)
    for label in (sizes == 0).nonzero().flatten().tolist():
        pixels = (labels == label).nonzero().float()
        middle = pixels.mean(0) / stride if len(pixels) else torch.zeros(2)
        spare = (sizes[places] > 1).nonzero()
        row, column = spare[(spare - middle).square().sum(1).argmin()].tolist()
        sizes[places[row, column]] -= 1
        sizes[label] += 1
        places[row, column] = label
    return places

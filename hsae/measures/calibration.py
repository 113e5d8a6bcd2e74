"""Calibration of class probabilities: of the images given a class with 70 %, 70 % should be of it.

Guo et al., arXiv 1706.04599: one temperature divides all logits, which changes no prediction.
"""

from __future__ import annotations

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import cross_entropy

BINS = 15
_RANGE = 0.05, 20.0


def calibrating_temperature(logits: Tensor, labels: Tensor) -> float:
    """The T in [0.05, 20] at which softmax(logits / T) has the least negative log-likelihood; 1 without images.

    logits `[n, n_classes]` of images that fitted nothing, labels `[n]` class indices.
    """
    if not len(labels):
        return 1.0
    logits = logits.double()  # in 1 / T the loss is convex
    least = minimize_scalar(
        lambda inverse: cross_entropy(logits * inverse, labels).item(),
        bounds=(1 / _RANGE[1], 1 / _RANGE[0]),
        method="bounded",
    )
    return float(1 / least.x)


def calibration_error(confidence: Tensor, right: Tensor) -> float:
    """ECE: mean |confidence - accuracy| over 15 equal bins of confidence, each counted by its images; in [0, 1].

    confidence: the probability of each image's likeliest class; right: whether it is of that class; both `[n]`. NaN
    without images.
    """
    confidence = confidence.double()
    gap = right.double() - confidence
    bins = (confidence * BINS).long().clamp_max(BINS - 1)
    return (torch.zeros(BINS, dtype=gap.dtype).index_add(0, bins.cpu(), gap.cpu()).abs().sum() / len(right)).item()

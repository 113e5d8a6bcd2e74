"""How well a probe reads classes from many activations, some rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hsae.measures.calibration import calibration_error
from hsae.measures.probes import LinearProbe

_ROWS = 1024  # read at once


@dataclass(frozen=True)
class ProbeQuality:
    """Of a probe on labelled activations; NaN without any."""

    acc1: float
    """Share in [0, 1] whose class is the likeliest."""
    acc5: float
    """Share in [0, 1] whose class is among the five likeliest."""
    ece: float
    """Calibration error, in [0, 1]."""


@torch.no_grad()
def probe_quality(
    probe: LinearProbe, x: Tensor, labels: Tensor, reading: Callable[[Tensor], Tensor] = lambda part: part
) -> ProbeQuality:
    """Accuracy and calibration of a probe on `reading(x)`, for `x [n, d_in]` and class indices `labels [n]`.

    Rows with label -1 are left out. Features and logits are only ever those of some rows: of 12 288 latents, or of
    1 000 classes on patch tokens, all of them would not fit into memory.
    """
    known = (labels >= 0).nonzero()[:, 0]
    # Made before all else: small results between large ones would keep the system's allocator from using memory again.
    hits = torch.empty(len(known), min(5, probe.W.shape[1]), dtype=torch.bool)
    sure = torch.empty(len(known))
    for rows, right, confidence in zip(*(all_of.split(_ROWS) for all_of in (known, hits, sure)), strict=True):
        logits = probe.logits(reading(x[rows]))
        right.copy_(logits.topk(hits.shape[1], dim=-1).indices == labels[rows, None])
        confidence.copy_(logits.softmax(-1).amax(-1))
    acc1, acc5 = (found.float().mean().item() for found in (hits[:, 0], hits.any(-1)))
    return ProbeQuality(acc1, acc5, calibration_error(sure, hits[:, 0]))

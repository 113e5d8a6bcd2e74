"""Move one latent, or a control in its place, in many images at once, and read the classes at the last layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsae.steering.editor import add_deltas
from hsae.steering.readout import Readout

BATCH = 32


@dataclass(frozen=True, eq=False)
class Answers:
    """The classifier's outputs for several images, `[images, n_classes]` each."""

    logits: np.ndarray
    probabilities: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """The likeliest class of each image, int `[images]`."""
        return self.logits.argmax(axis=1)


@torch.no_grad()
def answers(readout: Readout, activations: Tensor) -> Answers:
    """The classifier's answers to activations of its layer, `[images, tokens, d_in]`."""
    logits = torch.cat([readout.logits(part) for part in activations.split(BATCH)]).float().cpu()
    return Answers(logits.numpy(), logits.softmax(-1).numpy())


@torch.no_grad()
def push(readout: Readout, layer: str, x: Tensor, deltas: Tensor) -> Answers:
    """Answers when `deltas` are added to the activations `x` at `layer`, both `[images, tokens, d_in]`."""
    parts = [
        answers(readout, add_deltas(readout.backbone, tokens, {layer: delta}, [readout.layer])[readout.layer])
        for tokens, delta in zip(x.split(BATCH), deltas.split(BATCH), strict=True)
    ]
    return Answers(
        np.concatenate([part.logits for part in parts]), np.concatenate([part.probabilities for part in parts])
    )

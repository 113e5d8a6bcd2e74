"""Which features carry a class: how much each adds to the class's log-odds on the patches where it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.sae.model import SparseAutoencoder
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.observed import Observed, patch_places


@dataclass(frozen=True, eq=False)
class Reading:
    """A patch head that reads at one layer what features of the same or an earlier one bring about."""

    backbone: Backbone
    sae: SparseAutoencoder
    layer: str
    """Of the features."""
    head: PatchHead
    reads: str
    """The layer the head reads at."""

    def logits(self, x: Tensor) -> Tensor:
        """Activations at `layer`, `[batch, tokens, d_in]`, to logits of the patches `[batch, patches, n_classes]`."""
        later = x if self.layer == self.reads else self.backbone.run_from(self.layer, x, [self.reads])[self.reads]
        return self.head.logits(self.backbone.select_token(later, self.reads, "patch"))


def contributions(reading: Reading, x: Tensor, label: int, where: np.ndarray) -> Tensor:
    """What each feature adds to a class on some patches, `[d_sae]`: the mean over these patches p of z_p (W_dec . g_p).

    z_p are the latents; g_p is the gradient at patch p of the summed log-odds log P / (1 - P) of class `label` on all
    of these patches: first order, wherever the head reads. x `[1, tokens, d_in]`: one picture at the features' layer;
    where: bool `[patches]`.
    """
    tokens, inside = x.detach().clone().requires_grad_(), torch.from_numpy(where)
    with torch.enable_grad():
        logits = reading.logits(tokens)[0, inside]
        others = logits.index_fill(1, torch.tensor([label]), -torch.inf).logsumexp(1)
        (gradient,) = torch.autograd.grad((logits[:, label] - others).sum(), tokens)
    with torch.no_grad():
        select = reading.backbone.select_token
        z = reading.sae.encode(select(x, reading.layer, "patch")[0, inside])
        return (z * (select(gradient, reading.layer, "patch")[0, inside] @ reading.sae.W_dec.T)).mean(0)


def class_carriers(reading: Reading, seen: Iterable[Observed]) -> Tensor:
    """Mean contributions by class over the pictures that show it, `[n_classes, d_sae]`; 0 for a class never shown."""
    n_classes, d_sae = len(reading.head.classes), reading.sae.d_sae
    sums, counts = torch.zeros(n_classes, d_sae), torch.zeros(n_classes)
    places = patch_places(reading.backbone, reading.reads)
    for one in seen:
        classes = one.patch_classes(places)
        for label in np.unique(classes[classes > 0]).tolist():
            sums[label] += contributions(reading, one.x[reading.layer], label, classes == label)
            counts[label] += 1
    return sums / counts.clamp_min(1)[:, None]


def strongest(carriers: Tensor, label: int, n: int) -> list[int]:
    """Up to `n` latents that carry a class, strongest first; only those that speak for it."""
    values, latents = carriers[label].topk(min(n, carriers.shape[1]))
    return [latent for latent, value in zip(latents.tolist(), values.tolist(), strict=True) if value > 0]

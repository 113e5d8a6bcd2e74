"""Where the weights of an SAE start: at points of the data, or at the centroids of their clusters."""

from __future__ import annotations

import warnings

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor
from torch.nn.functional import normalize

from hsae.sae.model import SparseAutoencoder

ITERATIONS = 10
"""Of k-means: on class tokens of DINOv2-S, more changed nothing that was measured."""


@torch.no_grad()
def initialise(sae: SparseAutoencoder, x: Tensor, generator: torch.Generator) -> None:
    """Start from data: decoder rows are points of `x [n, d_in]` (normalised input), W_enc = c W_dec^T.

    c is the least-squares scale that makes the first reconstruction of `x` best; data rows keep few latents silent.
    Thresholds, learned ones and those that biases make, start where k latents per token fire: training stays sparse.
    """
    repeats = -(-sae.d_sae // len(x))
    rows = torch.cat([torch.randperm(len(x), generator=generator) for _ in range(repeats)])[: sae.d_sae]
    noise = torch.randn(sae.d_sae, sae.d_in, generator=generator)
    sae.W_dec.copy_(0.8 * normalize(x[rows], dim=-1) + 0.2 * normalize(noise, dim=-1))
    if sae.variant.clusters and sae.groups[0][1] == 1:
        coarse = sae.W_dec[: sae.groups[0][0]]
        coarse.copy_(centroids(normalize(x, dim=-1), normalize(coarse, dim=-1)))
    sae.normalise_decoder()
    sae.W_enc.copy_(sae.W_dec.T)
    x = x[:1024]
    pre = sae.pre_activation(x)
    cut = pre.flatten().topk(min(pre.numel(), sae.k * len(x))).values[-1].clamp_min(0)
    if sae.variant.demand:
        sae.variant.demand(sae, cut)
    x_hat, _ = sae.train(bool(sae.variant.calibrated))(x)  # by choice, where thresholds are set after training
    factor = ((x * x_hat).sum() / x_hat.pow(2).sum().clamp_min(1e-12)).clamp(1e-3, 1e3)
    sae.W_enc.mul_(factor)
    sae.scale_latents(factor)


def centroids(x: Tensor, first: Tensor) -> Tensor:
    """Centroids of k-means on `x [n, d_in]`, from `first [k, d_in]` on; an empty cluster stays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty clusters
        found, _ = kmeans2(x.numpy(), first.numpy(), ITERATIONS, minit="matrix")
    return torch.from_numpy(found).to(x)

"""What is done to an SAE once its encoder is trained: thresholds in place of a choice, and its decoder refitted."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

from hsae.sae.bank import InputScale
from hsae.sae.model import SparseAutoencoder

Refit = Literal["decoder", "scale", "none"]

PRIOR = 10.0
"""Firings of mean size that a latent's decoder row counts for beside the tokens it is refitted on."""

HELD_OUT = 8
"""One in so many tokens is kept apart to measure on."""

CHUNK = 1024
"""Tokens encoded at a time."""


@torch.no_grad()
def finish(
    sae: SparseAutoencoder, scale: InputScale, raw: Tensor, refit: Refit, l0_target: float | None
) -> dict[str, float]:
    """Turn a trained SAE of normalised activations into the one of raw activations `[n, d_in]` that is kept, in place.

    Returns what changed, measured on an eighth of the tokens that nothing was fitted on.
    """
    held, fitted = raw[::HELD_OUT], raw[torch.arange(len(raw)) % HELD_OUT > 0]
    measured: dict[str, float] = {}
    if sae.variant.calibrated:
        set_thresholds(sae, scale.normalise(fitted))
    sae.eval()
    if l0_target is not None:
        aim(sae, scale.normalise(fitted), l0_target)
    scale.fold(sae)
    if sae.variant.calibrated or l0_target is not None:
        measured["l0_finished"] = l0(sae, held)
    if refit != "none":
        measured["fvu_before_refit"] = fvu(sae, held)
        refit_decoder(sae, fitted) if refit == "decoder" else refit_scale(sae, fitted)
        measured["fvu_after_refit"] = fvu(sae, held)
    return measured


def set_thresholds(sae: SparseAutoencoder, x: Tensor) -> None:
    """Give each latent the threshold above which it fires on as many tokens of `x [n, d_in]` as it did by choice."""
    sae.train()
    counts = sum(((sae.encode(part) > 0).sum(0) for part in x.split(CHUNK)), torch.zeros(sae.d_sae, dtype=torch.int64))
    for latents in torch.arange(sae.d_sae).split(CHUNK // 4):
        pre = (x - sae.b_dec) @ sae.W_enc[:, latents] + sae.b_enc[latents]
        falling, n = pre.sort(dim=0, descending=True).values, counts[latents].unsqueeze(0)
        last, after = falling.gather(0, (n - 1).clamp_min(0)), falling.gather(0, n.clamp_max(len(x) - 1))
        sae.threshold[latents] = torch.where(n > 0, (last + after) / 2, falling[:1]).squeeze(0).clamp_min(0)


def aim(sae: SparseAutoencoder, x: Tensor, target: float) -> None:
    """Move all biases alike so that exactly `target` latents per token of `x [n, d_in]` are active.

    While the learning rate falls, the L0 falls with it at the same L1 weight; this is the rest of the way.
    """
    some = x[:: -(-len(x) // (4 * CHUNK))]
    pre = sae.pre_activation(some).flatten()
    if sae.variant.demand:
        sae.variant.demand(sae, pre.kthvalue(max(1, pre.numel() - round(target * len(some)))).values)


def refit_decoder(sae: SparseAutoencoder, x: Tensor) -> None:
    """Replace decoder and b_dec by those that reconstruct `x [n, d_in]` best from the same latents.

    argmin over D, b of ||Z D + b - x||^2 + sum_l lambda_l ||D_l - c W_dec_l||^2, with one factor c that undoes the mean
    shrinkage (an L1 penalty makes latents too small) and lambda_l the weight of PRIOR firings.
    """
    z, gram, means = _latents(sae, x)
    centred = (x - x.mean(0)).double()
    toward = torch.from_numpy(z.T @ centred.numpy())  # the mean of x is 0, so z need not be centred
    before, prior = sae.W_dec.double(), _prior(z)
    factor = (toward * before).sum() / (gram @ before * before).sum().clamp_min(1e-30)
    gram.diagonal().add_(prior)
    rows = torch.linalg.solve(gram, toward + prior.unsqueeze(1) * factor * before)
    sae.move_origin((x.double().mean(0) - means @ rows).float())
    sae.take_decoder(rows.float())


def refit_scale(sae: SparseAutoencoder, x: Tensor) -> None:
    """Make each latent longer or shorter so that `x [n, d_in]` is reconstructed best, directions unchanged."""
    z, gram, means = _latents(sae, x)
    centred = (x - x.mean(0)).double()
    before, prior = sae.W_dec.double(), _prior(z)
    toward = (torch.from_numpy(z.T @ centred.numpy()) * before).sum(1)
    gram *= before @ before.T
    factor = toward.sum() / gram.sum().clamp_min(1e-30)
    gram.diagonal().add_(prior)
    lengths = torch.linalg.solve(gram, toward + prior * factor).clamp_min(1e-3 * factor.abs())
    rows = lengths.unsqueeze(1) * before
    sae.move_origin((x.double().mean(0) - means @ rows).float())
    sae.take_decoder(rows.float())


def fvu(sae: SparseAutoencoder, x: Tensor) -> float:
    """Fraction of the variance of `x [n, d_in]` unexplained."""
    missed = sum((part - sae(part)[0]).pow(2).sum().item() for part in x.split(CHUNK))
    return missed / (x - x.mean(0)).pow(2).sum().item()


def l0(sae: SparseAutoencoder, x: Tensor) -> float:
    """Mean number of active latents of `x [n, d_in]`."""
    return sum((sae.encode(part) > 0).sum().item() for part in x.split(CHUNK)) / len(x)


def _latents(sae: SparseAutoencoder, x: Tensor) -> tuple[csr_array, Tensor, Tensor]:
    """Latents z `[n, d_sae]`, sum over tokens of (z - mean)(z - mean)^T in double precision, and the means."""
    parts = [csr_array(sae.encode(part).double().numpy()) for part in x.split(CHUNK)]
    z = csr_array(vstack(parts))
    means = torch.from_numpy(np.asarray(z.mean(0)).ravel())
    gram = torch.from_numpy((z.T @ z).toarray())
    return z, gram.sub_(len(x) * torch.outer(means, means)), means


def _prior(z: csr_array) -> Tensor:
    """PRIOR times the mean square of each latent where it fires, or of all latents where that is larger."""
    squares, firings = np.asarray(z.multiply(z).sum(0)).ravel(), np.diff(z.tocsc().indptr)
    typical = squares.sum() / max(firings.sum(), 1) or 1.0
    return torch.from_numpy(PRIOR * np.maximum(squares / np.maximum(firings, 1), typical))

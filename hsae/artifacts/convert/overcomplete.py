"""Read SAEs of overcomplete, which has no format: torch.save(sae.state_dict(), path), and the rest as arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from hsae.artifacts.convert.build import assemble, read_pickle, refuse, rounding, take
from hsae.sae.model import SparseAutoencoder

_NAMES = {
    "W_enc": "encoder.final_block.0.weight",
    "b_enc": "encoder.final_block.0.bias",
    "W_dec": "dictionary._weights",
}


def read(path: str | Path, activation: Literal["relu", "topk", "jumprelu"], k: int = 1) -> SparseAutoencoder:
    """The SAE with the default linear encoder; relu: SAE; topk: TopKSAE with top_k = k; jumprelu: JumpSAE.

    The dictionary has unit rows times exp(multiplier), and no bias. Refused: encoders with a norm layer or several
    blocks, archetypal dictionaries, whose rows are not in the file, and rows that overcomplete would still normalise.
    """
    path = Path(path)
    state = read_pickle(path)
    names = _NAMES | ({"threshold": "thresholds"} if activation == "jumprelu" else {})
    tensors = take(state, path, names, ("dictionary.multiplier",))
    multiplier = state.get("dictionary.multiplier")
    if multiplier is None or multiplier.numel() != 1:
        raise refuse(path, "no single number dictionary.multiplier", "a dictionary layer of overcomplete")
    tensors["W_enc"], tensors["b_dec"] = tensors["W_enc"].T, torch.zeros(tensors["W_dec"].shape[-1])
    lengths = tensors["W_dec"].norm(dim=-1)
    stored = state[names["W_dec"]].dtype
    if not ((lengths - 1).abs() < rounding(stored)).all():
        got = f"dictionary rows of length {lengths.min():.3g} to {lengths.max():.3g}"
        raise refuse(path, got, "unit rows, as after dictionary normalisation by l2")
    tensors["W_dec"] = tensors["W_dec"] * multiplier.float().exp()
    if activation == "jumprelu":
        tensors["threshold"] = tensors["threshold"].exp()  # stored as its logarithm
    return assemble(path, tensors, activation, k, stored=stored)

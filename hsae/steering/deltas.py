"""What an edit of latents adds to activations, and to which tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsae.errors import InputError
from hsae.sae.model import SparseAutoencoder
from hsae.steering.edits import Op, Scope


@dataclass(frozen=True, eq=False)
class Change:
    """What one op did to its latent."""

    layer: str
    latent: int
    before: float
    """Largest value of the latent among the tokens in scope, before the edit."""
    after: float
    """The same, after the edit."""

    @property
    def silent(self) -> bool:
        """Whether the latent fired at none of the tokens in scope: there is nothing to weaken or turn off."""
        return self.before <= 0


RULES: dict[str, Callable[[Tensor, float, Tensor], Tensor]] = {
    "add": lambda z, amount, unit: z + amount * unit,
    "scale": lambda z, amount, unit: z * (1 + amount),
    "set": lambda z, amount, unit: (amount * unit).expand_as(z),
    "off": lambda z, amount, unit: torch.zeros_like(z),
}
"""z' before it is clamped at 0, for each mode of `edits`."""


def edit_delta(
    x: Tensor, ops: Sequence[Op], sae: SparseAutoencoder, p999: np.ndarray | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """x' - x = sum_j (z'_j - z_j) W_dec[j], with the latents before and after.

    x `[..., d_in]`, p999 `[d_sae]`: each latent's unit. Returns `[..., d_in]`, `[..., ops]`, `[..., ops]`. The SAE's
    error x - x_hat stays in place: decoding is affine, so this equals decode(z') + error without decoding.
    """
    latents = [op.latent for op in ops]
    units = _units(ops, sae, p999)
    before = sae.encode(x)[..., latents]
    after = torch.stack([_apply_op(before[..., i], op, units[i].to(before)) for i, op in enumerate(ops)], dim=-1)
    return (after - before) @ sae.W_dec[latents], before, after


def _apply_op(z: Tensor, op: Op, unit: Tensor) -> Tensor:
    """z' of one op, from z `[...]` and the latent's p999."""
    return RULES[op.mode](z, op.amount, unit).clamp_min(0)


def _units(ops: Sequence[Op], sae: SparseAutoencoder, p999: np.ndarray | Tensor) -> Tensor:
    """p999 of each op's latent; InputError for a latent that does not exist or never fired."""
    values = p999 if isinstance(p999, Tensor) else torch.tensor(p999)  # a copy: tables are often read-only
    if tuple(values.shape) != (sae.d_sae,):
        raise InputError(f"p999 of shape {tuple(values.shape)}", f"one per latent, ({sae.d_sae},)")
    missing = [op.latent for op in ops if op.latent >= sae.d_sae]
    if missing:
        raise InputError(f"latents {missing}", f"numbers from 0 to {sae.d_sae - 1}")
    units = values[[op.latent for op in ops]]
    silent = [op.latent for op, unit in zip(ops, units, strict=True) if op.mode in ("add", "set") and not unit > 0]
    if silent:
        raise InputError(
            f"latents {silent} never fired and so have no p999", "latents that fire, or the modes scale and off"
        )
    return units.nan_to_num()


def scope_tokens(scope: Scope, n_tokens: int, n_prefix: int) -> list[int]:
    """Positions among a layer's tokens that a scope means; InputError where the layer has no such token."""
    if scope == "all":
        return list(range(n_tokens))
    if scope == "patches":
        return list(range(n_prefix, n_tokens))
    if scope == "cls":
        if n_prefix == 0:
            raise InputError("scope cls at a layer without class token", "patches, all or a list of patch indices")
        return [0]
    if max(scope) >= n_tokens - n_prefix:
        raise InputError(f"patch {max(scope)}", f"patch indices from 0 to {n_tokens - n_prefix - 1}")
    return [n_prefix + patch for patch in scope]

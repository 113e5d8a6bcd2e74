"""What an SAE is, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hsae.errors import InputError

Activation = Literal["relu", "topk"]


@dataclass(frozen=True)
class SAEConfig:
    """Shape and sparsity of the SAEs of a bank; the input width comes from each layer."""

    activation: Activation = "topk"
    """relu: sparsity by the L1 penalty; topk: exactly k latents a token at most."""
    expansion: int = 8
    """d_sae = expansion x d_in, unless d_sae is given."""
    d_sae: int | None = None
    """Number of latents."""
    k: int = 32
    """Latents active per token (topk)."""
    l1: float = 1e-3
    """Weight of the mean over tokens of sum |z|, in units where the input has mean square norm d_in (relu)."""

    def __post_init__(self) -> None:
        if self.activation not in ("relu", "topk"):
            raise InputError(f"activation {self.activation!r}", "relu or topk")
        for name in ("expansion", "k", "d_sae"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} {value}", "a positive number")
        if self.l1 < 0:
            raise InputError(f"l1 {self.l1}", "0 or more")
        if self.activation == "topk" and self.d_sae is not None and self.k > self.d_sae:
            raise InputError(f"k {self.k} with d_sae {self.d_sae}", "k no larger than d_sae")

    def width(self, d_in: int) -> int:
        """Number of latents for an input width."""
        return self.d_sae or self.expansion * d_in

"""What the functions of a variant and the training steps may use of an SAE; the class itself comes after them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor
from torch.nn import Parameter


class Weights(Protocol):
    """The weights and settings of an SAE; `threshold`, or `r_mag` and `b_mag`, in some variants only."""

    W_enc: Parameter
    b_enc: Parameter
    W_dec: Parameter
    b_dec: Parameter
    threshold: Tensor
    r_mag: Parameter
    b_mag: Parameter
    d_in: int
    d_sae: int
    k: int
    groups: tuple[tuple[int, int], ...]
    window: float
    processes: int
    training: bool

    def parameters(self) -> Iterator[Parameter]: ...
    def zero_grad(self, set_to_none: bool = True) -> None: ...
    def pre_activation(self, x: Tensor) -> Tensor: ...
    def decode(self, z: Tensor) -> Tensor: ...

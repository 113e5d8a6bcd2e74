"""A linear head over patches, and the files it is kept in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hsae.atomic import atomic_path
from hsae.errors import InputError

BACKGROUND = "background"
NEEDED = "W [d_in, n_classes], b [n_classes] and one name per class, two classes or more"


@dataclass(frozen=True, eq=False)
class PatchHead:
    """logits = x W + b for the activation x of one patch."""

    W: Tensor
    """`[d_in, n_classes]`."""
    b: Tensor
    """`[n_classes]`."""
    classes: tuple[str, ...]
    """WordNet ids or any other names; "background" where nothing of the others is."""

    def __post_init__(self) -> None:
        fits = self.W.ndim == 2 and tuple(self.b.shape) == (self.W.shape[1],) and self.W.shape[1] == len(self.classes)
        if not fits or len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            got = f"W {list(self.W.shape)}, b {list(self.b.shape)} and {len(set(self.classes))} names"
            raise InputError(f"a head of {got}", NEEDED)
        if not (self.W.isfinite().all() and self.b.isfinite().all()):
            raise InputError("a head with NaN or infinity in it", "finite numbers")

    def logits(self, x: Tensor) -> Tensor:
        """Activations `[..., d_in]` to logits `[..., n_classes]`."""
        if x.shape[-1] != len(self.W):
            raise InputError(f"a head for activations of width {len(self.W)}", f"one for {x.shape[-1]}")
        return x @ self.W.to(x) + self.b.to(x)

    def directions(self) -> Tensor:
        """For each class what raises its logit above the mean of all, `[n_classes, d_in]`."""
        return (self.W - self.W.mean(1, keepdim=True)).T

    @classmethod
    def from_arrays(cls, W: Any, b: Any, classes: Any) -> PatchHead:
        """A head from nested lists or arrays; InputError for anything that is none."""
        try:
            weights, bias = (torch.tensor(np.array(values, dtype=np.float32)) for values in (W, b))
            return cls(weights, bias, tuple(map(str, classes)))
        except (TypeError, ValueError) as error:
            raise InputError(f"a head that cannot be read: {error}", NEEDED) from error


def write_head(head: PatchHead, path: str | Path) -> Path:
    """Write the head as safetensors: W, b, and the names as JSON in the metadata entry `classes`."""
    data = save({"W": head.W.contiguous(), "b": head.b.contiguous()}, {"classes": json.dumps(head.classes)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
    return Path(path)


def read_head(path: str | Path) -> PatchHead:
    """Read a head from .safetensors (of `write_head`) or .npz (arrays W, b, classes); InputError if neither."""
    path = Path(path)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return PatchHead.from_arrays(arrays["W"], arrays["b"], arrays["classes"])
        with safe_open(path, "pt") as file:
            classes = json.loads((file.metadata() or {})["classes"])
            return PatchHead(file.get_tensor("W").float(), file.get_tensor("b").float(), tuple(map(str, classes)))
    except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise InputError(f"{path} is no head: {error}", f"safetensors or npz with {NEEDED}") from error

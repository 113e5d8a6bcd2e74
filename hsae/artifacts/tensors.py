"""safetensors from strangers: names, shapes and dtypes are checked in the header before anything is allocated."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hsae.artifacts.defects import broken, require

Shapes = dict[str, tuple[int, ...]]
DTYPES = {"F16": "float16", "F32": "float32"}
_MAX_HEADER = 2**20


def size_limit(shapes: Shapes) -> int:
    """Bytes that tensors of these shapes may take at most, header included."""
    return _MAX_HEADER + 8 + 4 * sum(torch.Size(shape).numel() for shape in shapes.values())


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors, each laid out row by row; the same tensors give the same bytes."""
    path.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def read_tensors(
    path: Path,
    where: str,
    shapes: Shapes,
    dtype: str,
    *,
    names: Collection[str] | None = None,
    halved: Collection[str] = (),
) -> dict[str, Tensor]:
    """The tensors `names` (all by default) as float32 copies, from a file of exactly `shapes`, all in `dtype`.

    halved: tensors that may be float16 all the same.
    """
    try:
        with safe_open(path, "pt") as file:
            _check_header(file, where, shapes, dtype, halved)
            # A copy, since the file's own memory would change or vanish with the file.
            return {name: file.get_tensor(name).to(torch.float32, copy=True) for name in names or shapes}
    except (SafetensorError, OSError, RuntimeError) as error:
        raise broken(where, f"not readable as safetensors ({error})", "a whole safetensors file") from error


def _check_header(file: safe_open, where: str, shapes: Shapes, dtype: str, halved: Collection[str]) -> None:
    names = set(file.keys())
    missing, extra = sorted(set(shapes) - names), sorted(names - set(shapes))
    require(
        not missing and not extra,
        where,
        f"tensors missing: {missing!s:.200}; unknown: {extra!s:.200}",
        f"exactly {', '.join(shapes)}",
    )
    for name, shape in shapes.items():
        part = file.get_slice(name)
        got = DTYPES.get(part.get_dtype())
        require(tuple(part.get_shape()) == shape, where, f"{name} of shape {part.get_shape()}", f"{list(shape)}")
        good = got == dtype or (name in halved and got == "float16")
        require(good, where, f"{name} of type {part.get_dtype()}", dtype)

"""Whole safetensors files of peers; memory is taken for what the file really holds."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hsae.artifacts.convert.build import refuse


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file (safetensors itself refuses shapes that the file's length does not bear out)."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise refuse(path, f"not readable as safetensors ({error})", "a whole safetensors file") from error

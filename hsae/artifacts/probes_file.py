"""probes.safetensors: the linear probe of every layer over the data set's classes; only W may be in float16."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from hsae.artifacts.defects import require
from hsae.artifacts.files import VerifiedFiles
from hsae.artifacts.index import PROBES, Index, Layer
from hsae.artifacts.sae_folder import Dtype
from hsae.artifacts.strangers_json import is_number
from hsae.artifacts.tensors import Shapes, read_tensors, size_limit, write_tensors
from hsae.measures.probes import LinearProbe

_PARTS = ("W", "b", "mean", "std")
_TEMPERATURE = "temperature"
"""Since schema 2."""


def write_probes(path: Path, probes: Mapping[str, LinearProbe], dtype: Dtype, schema: int) -> None:
    """Write all probes into one file, each tensor as `<layer>.<part>`; W in `dtype`."""
    tensors = {f"{name}.{part}": getattr(probe, part).float() for name, probe in probes.items() for part in _PARTS}
    if schema > 1:
        tensors |= {f"{name}.{_TEMPERATURE}": torch.tensor([probe.temperature]) for name, probe in probes.items()}
    stored = getattr(torch, dtype)  # the others are few, and a small std would lose its digits
    write_tensors(path, {name: t.to(stored) if name.endswith(".W") else t for name, t in tensors.items()})


def read_probe(files: VerifiedFiles, index: Index, layer: Layer) -> LinearProbe:
    """The probe of one layer; the other layers' tensors are checked by their headers only."""
    n_classes = len(index.dataset["classes"])
    shapes = {name: shape for each in index.layers for name, shape in _shapes(each, n_classes, index.schema).items()}
    names = tuple(_shapes(layer, n_classes, index.schema))
    path = files.get(PROBES, size_limit(shapes))
    weights = {f"{each.name}.W" for each in index.layers}
    tensors = read_tensors(path, PROBES, shapes, "float32", names=names, halved=weights)
    W, b, mean, std = (tensors[f"{layer.name}.{part}"] for part in _PARTS)
    temperature = tensors.get(f"{layer.name}.{_TEMPERATURE}")
    return LinearProbe(W, b, mean, std, 1.0 if temperature is None else temperature.item())


def check_probe(probe: LinearProbe, layer: Layer, n_classes: int) -> LinearProbe:
    """The probe itself, when its shapes fit the layer and the classes and it divides by no zero."""
    where = f"probe of {layer.name}"
    for (name, shape), part in zip(_shapes(layer, n_classes, 1).items(), _PARTS, strict=True):
        tensor = getattr(probe, part)
        require(tuple(tensor.shape) == shape, where, f"{name} of shape {tuple(tensor.shape)}", f"{shape}")
        require(bool(torch.isfinite(tensor).all()), where, f"NaN or infinity in {name}", "finite numbers")
    require(bool((probe.std > 0).all()), where, "a standard deviation of 0 or less", "positive numbers")
    good = is_number(probe.temperature) and probe.temperature > 0
    require(good, where, f"a temperature of {probe.temperature!r:.40}", "a positive number")
    return probe


def _shapes(layer: Layer, n_classes: int, schema: int) -> Shapes:
    shapes = ((layer.d_in, n_classes), (n_classes,), (layer.d_in,), (layer.d_in,))
    later = {f"{layer.name}.{_TEMPERATURE}": (1,)} if schema > 1 else {}
    return {f"{layer.name}.{part}": shape for part, shape in zip(_PARTS, shapes, strict=True)} | later

"""The labels of a store's images, where they were mended after its shards had been written.

    labels.safetensors    `label` [images], in place of the shards'; metadata: classes, labelling (of `Samples`)

Activations do not depend on labels, so a store stays what it is when labels come later or change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hsae.atomic import atomic_path
from hsae.errors import StoreError

LABELS = "labels.safetensors"


@dataclass(frozen=True, eq=False)
class Labels:
    """Which class every image of a store is of."""

    classes: tuple[str, ...]
    """Sorted wnids."""
    values: Tensor
    """Index into `classes` `[images]` int64, -1 for none."""
    labelling: str
    """Which labels these are (`Samples.labelling`)."""


def write_labels(folder: Path, labels: Labels) -> None:
    """Write them beside the shards, atomically; StoreError when that is not possible."""
    path = folder / LABELS
    metadata = json.dumps({"classes": labels.classes, "labelling": labels.labelling})
    try:
        with atomic_path(path) as temporary:
            save_file({"label": labels.values}, temporary, {"hsae": metadata})
    except (SafetensorError, OSError) as error:
        raise StoreError(f"{path} could not be written: {error}", "a folder that can be written") from error


def read_labels(folder: Path) -> Labels | None:
    """The mended labels of a store; None without, StoreError when they are damaged."""
    path = folder / LABELS
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata, values = json.loads(file.metadata()["hsae"]), file.get_tensor("label")
        classes, labelling = tuple(metadata["classes"]), str(metadata["labelling"])
        if values.dtype != torch.int64 or values.ndim != 1 or (values >= len(classes)).any():
            raise ValueError(f"labels of shape {list(values.shape)}, {values.dtype}, beyond {len(classes)} classes")
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        do = "Delete this file and run the extraction again, which will only write it."
        raise StoreError(f"{path} is damaged: {error}", "the labels of a store", do) from error
    return Labels(classes, values, labelling)

"""starter.json: the starter photographs at the last layer, for the most similar ones.

`layer`, `token` (`cls` or `mean`), `keys`, and `vectors`: each as base64 of little-endian float16.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hsae.errors import ArtifactError
from hsae.steering.nearest import PhotoBank


def write_starter(bank: PhotoBank) -> dict[str, Any]:
    """Plain JSON of a bank; numbers keep the precision of float16."""
    halves = bank.vectors.numpy().astype("<f2")
    vectors = [base64.b64encode(row.tobytes()).decode() for row in halves]
    return {"layer": bank.layer, "token": bank.token, "keys": list(bank.keys), "vectors": vectors}


def read_starter(document: Mapping[str, Any] | None) -> PhotoBank | None:
    """The bank in a document, None without one; ArtifactError for anything that is none."""
    if document is None:
        return None
    try:
        rows = [np.frombuffer(base64.b64decode(text, validate=True), "<f2") for text in document["vectors"]]
        vectors = torch.from_numpy(np.stack(rows).astype(np.float32))
        keys = tuple(map(str, document["keys"]))
        bank = PhotoBank(str(document["layer"]), str(document["token"]), keys, vectors)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"the document starter is broken: {error}", "what write_starter writes") from error
    if len(keys) != len(vectors) or not vectors.isfinite().all():
        raise ArtifactError(f"{len(keys)} keys, {len(vectors)} vectors in the document starter", "finite ones, as many")
    return bank

"""RUN/bench: a JSON file for every finished contestant, and beside it the decoder of an SAE.

The name is a hash of everything that decides the numbers, so what is there need not be made again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from hsae.atomic import atomic_path, write_json
from hsae.bench.grid import Entry
from hsae.bench.measure import Measured
from hsae.errors import StoreError

VERSION = 2
"""Raised when the meaning of a number changes."""


@dataclass(frozen=True, eq=False)
class Row:
    """A contestant and its numbers."""

    entry: dict[str, Any]
    """The fields of an Entry, as plain JSON."""
    numbers: dict[str, Any]
    draws: dict[str, list[float]]
    names: list[str | None]
    key: str

    @property
    def line(self) -> tuple[str, int]:
        """What is one line of a plot: the name, and the number of directions."""
        return self.entry["name"], self.numbers["n"]


class Rows:
    """The rows in a folder."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        """settings: plain JSON that decides all rows, such as the images."""
        self.folder, self.settings = folder, settings

    def key(self, entry: Entry, training: dict[str, Any] | None) -> str:
        """Hash of all that decides a row; training: settings of an SAE's training."""
        told = {"version": VERSION, "entry": asdict(entry), "training": training, "settings": self.settings}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def load(self, key: str) -> Row | None:
        """A finished row; StoreError when its file is damaged."""
        path = self.folder / f"{key}.json"
        if not path.is_file():
            return None
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            return Row(value["entry"], value["numbers"], value["draws"], value["names"], key)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged: {error}", "a finished row", "Delete it and run again.") from error

    def save(self, key: str, entry: Entry, found: Measured, decoder: NDArray[np.float32] | None) -> Row:
        """Write a row at once, its decoder first."""
        if decoder is not None:
            with atomic_path(self.folder / f"{key}.safetensors") as temporary:
                save_file({"decoder": decoder.astype(np.float16)}, temporary)
        content = {"entry": asdict(entry), "numbers": found.numbers, "draws": found.draws, "names": found.names}
        write_json(self.folder / f"{key}.json", content, compact=True)
        row = self.load(key)
        assert row is not None
        return row

    def decoder(self, row: Row) -> NDArray[np.float32]:
        """`[n, d_in]`, of a row of an SAE; StoreError when it is not there."""
        path = self.folder / f"{row.key}.safetensors"
        try:
            return load_file(path)["decoder"].astype(np.float32)
        except (OSError, KeyError, SafetensorError) as error:
            raise StoreError(f"{path} is damaged: {error}", "a decoder", "Delete the row and run again.") from error

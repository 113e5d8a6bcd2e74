"""Decoded squares kept on disk, for images that are read more than once: by every epoch, or by several backbones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from hsae.errors import InputError


class KeptSquares:
    """Raw pixels of `n` squares in one file, and which of them are there in another; safe to kill and to share.

    A square is flagged only after its pixels were written, so a broken-off one is decoded again.
    """

    def __init__(self, folder: Path, fingerprint: str, n: int, side: int) -> None:
        """folder: for any number of data sets (told apart by name, keys and sizes, not by pixels) and sizes.

        Takes n x side x side x 3 bytes on disk; InputError when they cannot be had.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{fingerprint[:16]}-{side}"
            self._pixels = _mapped(folder / f"{name}.pixels", (n, side, side, 3))
            self._there = _mapped(folder / f"{name}.there", (n,))
        except OSError as error:
            gigabytes = n * side * side * 3 / 1e9
            got = f"decoded images cannot be kept in {folder}: {error}"
            raise InputError(
                got, f"a folder with {gigabytes:.1f} GB of room", "Choose another, or keep none."
            ) from error

    def get(self, row: int) -> Image.Image | None:
        """The square of a row, if it is there."""
        return Image.fromarray(np.array(self._pixels[row])) if self._there[row] else None

    def put(self, row: int, square: Image.Image) -> None:
        """Keep the square of a row, RGB, `side` x `side`."""
        self._pixels[row] = np.asarray(square)
        self._there[row] = 1


def through(kept: KeptSquares, row: int, decode: Callable[[], Image.Image]) -> Image.Image:
    """The kept square of a row, else what `decode` gives, kept from now on."""
    square = kept.get(row)
    if square is None:
        square = decode()
        kept.put(row, square)
    return square


def _mapped(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A file of that many bytes as an array; a new one is all zeros."""
    size = int(np.prod(shape))
    with open(path, "a+b") as file:
        if file.tell() != size:
            file.truncate(0)
            # Where the system can, a full disk says so now and not by a crash later.
            reserve = getattr(os, "posix_fallocate", lambda number, start, length: os.ftruncate(number, length))
            reserve(file.fileno(), 0, size)
    return np.memmap(path, np.uint8, "r+", shape=shape)

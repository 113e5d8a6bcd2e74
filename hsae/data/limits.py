"""What one picture may be, and how much work it may ask of its decoder: a few kilobytes can ask for hours of it."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from time import thread_time

SECONDS = 2.0  # of processor time, on which other programs have no say
MAX_BYTES = 200_000_000  # encoded: 20 million pixels of 4 x 16 bits, uncompressed, and some


@dataclass(frozen=True)
class Limits:
    """Shapes that are read, and the size they are brought to."""

    min_side: int = 8
    max_aspect: float = 20.0
    """Long side by short side."""
    max_side: int = 1024
    """Longer sides are scaled down, keeping the aspect."""


class TooMuchWork(Exception):
    """What a picture asks for, as the end of a sentence that begins with its name."""


class TimedBytes(BytesIO):
    """An encoded picture in memory that gives its reader no more bytes once the decoding thread has used up its time.

    Pillow feeds its decoders by pieces of at most 64 KB and reads what stands around the pixels bit by bit, so that
    between two reads there is little work, except where `jpeg` and `apart` look after it.
    """

    def __init__(self, encoded: bytes) -> None:
        super().__init__(encoded)
        self._until = thread_time() + SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        if thread_time() > self._until:
            raise TooMuchWork(f"takes more than {SECONDS:g} seconds to decode")
        return super().read(size)

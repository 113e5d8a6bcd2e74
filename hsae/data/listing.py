"""What every kind of source is reduced to: which rows there are, and how to get the bytes of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Listing:
    """The rows of a source: labels are held in memory, keys and encoded images are asked for one by one."""

    name: str
    classes: tuple[str, ...]  # sorted wnids
    labels: list[int | None]  # one per row: index into `classes`
    key: Callable[[int], str]
    image: Callable[[int], bytes | Path | None]  # encoded image, or where it lies; None where the row has none
    form: str = ""  # changes when the same files are made into other images, so that stores of the old ones are told
    contents: str = ""  # tells images of equal keys apart, where that costs nothing: their sizes

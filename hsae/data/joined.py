"""Several sources as one, their labels brought together by WordNet id."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path

from hsae.data.listing import Listing
from hsae.data.samples import Samples
from hsae.errors import InputError


def join_samples(parts: Sequence[Samples]) -> Samples:
    """The rows of all parts, one part after the other; a key begins with the name of its source.

    Classes are those of any part. InputError without parts, and for parts that are augmented: join first.
    """
    if not parts or any(part.has_copies for part in parts):
        raise InputError(f"{len(parts)} sources, augmented or not, to be joined", "one or more, not augmented")
    if len(parts) == 1:
        return parts[0]
    classes = tuple(sorted({wnid for part in parts for wnid in part.classes}))
    parts = tuple(part.among(classes) for part in parts)
    starts = list(accumulate((len(part) for part in parts[:-1]), initial=0))
    return Samples(
        Listing(
            name=", ".join(part.name for part in parts),
            classes=classes,
            labels=[label for part in parts for label in part.labels],
            key=partial(_key, parts, starts),
            image=partial(_image, parts, starts),
            contents=hashlib.sha256("".join(part.images_fingerprint for part in parts).encode()).hexdigest(),
        )
    )


def _key(parts: Sequence[Samples], starts: list[int], row: int) -> str:
    number = bisect_right(starts, row) - 1
    return f"{parts[number].name}: {parts[number].key(row - starts[number])}"


def _image(parts: Sequence[Samples], starts: list[int], row: int) -> bytes | Path | None:
    number = bisect_right(starts, row) - 1
    return parts[number].encoded(row - starts[number])

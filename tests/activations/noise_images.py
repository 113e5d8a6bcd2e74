"""Labelled noise images in memory, some of them broken."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from hsae.data.listing import Listing
from hsae.data.samples import Samples

CLASSES = ("n02084071", "n02121808", "n12268246")


def noise_png(row: int) -> bytes:
    stream = BytesIO()
    pixels = np.random.default_rng(row).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def noise_samples(n: int, broken: tuple[int, ...] = (), name: str = "noise") -> Samples:
    """Row i has class i mod 4, where 3 means none."""

    def image(row: int) -> bytes:
        return noise_png(row)[:60] if row in broken else noise_png(row)

    labels = [None if row % 4 == 3 else row % 4 for row in range(n)]
    return Samples(Listing(name, CLASSES, labels, "row {}".format, image))

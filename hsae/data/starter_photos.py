"""The packaged photographs, listed once: what the page, the examples of a latent and the nearest photographs open."""

from __future__ import annotations

from functools import cache

from PIL import Image

from hsae.data.samples import Samples, load_samples


@cache
def starter_samples() -> Samples:
    """All of them, in the order of `data.starter.list_starter`."""
    return load_samples("starter")


@cache
def starter_rows() -> dict[str, int]:
    """The row of each by its key."""
    samples = starter_samples()
    return {samples.key(row): row for row in range(len(samples))}


def starter_image(key: str) -> Image.Image:
    """One of them as every image is opened, upright RGB; KeyError for a key that none has."""
    return starter_samples().read(starter_rows()[key]).image

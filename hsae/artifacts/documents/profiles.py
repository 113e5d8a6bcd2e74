"""profiles.json: what a latent's card draws, from the held-out images.

`bins`, and under `layers` by name a line of text per latent, empty when it never fires: `n n ...|class percent class
percent ...`: images by activation in `bins` equal bins from 0 to its maximum, then the classes it fires for most (by
their place in `dataset.classes`) with the share of their images it fires on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hsae.artifacts.documents.reading import item, within
from hsae.measures.profiles import BINS, Profile


def write_profiles(layers: Mapping[str, Sequence[Profile | None]]) -> dict[str, Any]:
    """Plain JSON of all layers' profiles, None for a latent that never fires."""
    return {"bins": BINS, "layers": {name: [_line(profile) for profile in rows] for name, rows in layers.items()}}


def read_profile(document: Mapping[str, Any] | None, layer: str, latent: int, n_classes: int) -> Profile | None:
    """The profile of a latent in a stranger's document; None where there is none that can be read."""
    counts, _, shares = str(item(within(document, "layers", layer), latent) or "").partition("|")
    numbers = [part.split(" ") if part else [] for part in (counts, shares)]
    if not counts or not all(len(n) < 16 and n.isascii() and n.isdigit() for part in numbers for n in part):
        return None
    pairs = [(int(column), int(percent)) for column, percent in zip(numbers[1][::2], numbers[1][1::2], strict=False)]
    known = tuple((column, percent) for column, percent in pairs if column < n_classes and percent <= 100)
    return Profile(tuple(map(int, numbers[0])), known)


def _line(profile: Profile | None) -> str:
    if profile is None:
        return ""
    shares = [f"{column} {percent}" for column, percent in profile.classes]
    return " ".join(map(str, profile.counts)) + "|" + " ".join(shares)

"""profiles.json: what a latent's card draws, from the held-out images; artifacts/README.md has every field.

Under each field and layer a line of text per latent, empty where there is nothing: whole numbers with spaces between,
lists of them with | between. The fields from `together` on came later and may be missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hsae.artifacts.documents.reading import item, listed, within
from hsae.measures.profiles import BINS, Profile
from hsae.measures.weaker_images import Shares, WeakerImages

_LONGEST = 15  # digits


@dataclass(frozen=True)
class LayerFiring:
    """What is known of the firings of a layer's latents, an entry for each."""

    profiles: Sequence[Profile | None]
    """None for a latent that never fires."""
    together: Sequence[Shares] = ()
    """Latents that fire on the same images (`measures.cofiring`)."""
    weaker: Sequence[WeakerImages] = ()
    """By row of the data set's split."""
    weaker_photos: Sequence[WeakerImages] = ()
    """By place in the document's list of starter photographs."""


@dataclass(frozen=True)
class Weaker:
    """Weaker images of one latent: rows of the data set's split, and keys of starter photographs."""

    images: WeakerImages = field(default_factory=WeakerImages)
    photos: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict)
    """Under middle and low."""


def write_profiles(layers: Mapping[str, LayerFiring], photos: Sequence[str] = ()) -> dict[str, Any]:
    """Plain JSON of all layers; photos: keys of the starter photographs."""
    return {
        "bins": BINS,
        "layers": {name: [_profile_line(profile) for profile in layer.profiles] for name, layer in layers.items()},
        "together": {name: [_line(shares) for shares in layer.together] for name, layer in layers.items()},
        "weaker": {name: [_lines(kinds) for kinds in layer.weaker] for name, layer in layers.items()},
        "weaker_photos": {name: [_lines(kinds) for kinds in layer.weaker_photos] for name, layer in layers.items()},
        "photos": list(photos),
    }


def read_profile(document: Mapping[str, Any] | None, layer: str, latent: int, n_classes: int) -> Profile | None:
    """The profile of a latent in a stranger's document; None where there is none that can be read."""
    counts, shares = _numbers(document, "layers", layer, latent)
    if not counts:
        return None
    known = tuple((column, percent) for column, percent in _pairs(shares) if column < n_classes)
    return Profile(tuple(counts), known)


def read_together(document: Mapping[str, Any] | None, layer: str, latent: int, n_latents: int) -> Shares:
    """The latents of the layer that fire on the same images, the closest first; empty where nothing is known."""
    return tuple((other, share) for other, share in _pairs(_numbers(document, "together", layer, latent)[0])
                 if other < n_latents)  # fmt: skip


def read_weaker(document: Mapping[str, Any] | None, layer: str, latent: int) -> Weaker:
    """The weaker images of a latent; empty where nothing is known."""
    images = WeakerImages(*map(_pairs, _numbers(document, "weaker", layer, latent)))
    keys = listed(within(document, "photos"))
    kinds = map(_pairs, _numbers(document, "weaker_photos", layer, latent))
    photos = {
        kind: [(keys[place], share) for place, share in pairs if place < len(keys) and isinstance(keys[place], str)]
        for kind, pairs in zip(("middle", "low"), kinds, strict=True)
    }
    return Weaker(images, photos)


def _numbers(document: Mapping[str, Any] | None, name: str, layer: str, latent: int) -> tuple[list[int], list[int]]:
    """Both lists of a latent's line; empty ones where it is no such line."""
    first, _, second = str(item(within(document, name, layer), latent) or "").partition("|")
    words = [part.split(" ") if part else [] for part in (first, second)]
    if not all(len(word) <= _LONGEST and word.isascii() and word.isdigit() for part in words for word in part):
        return [], []
    return [int(word) for word in words[0]], [int(word) for word in words[1]]


def _pairs(numbers: Sequence[int]) -> Shares:
    """Numbers two by two: what, and per cent."""
    return tuple((at, share) for at, share in zip(numbers[::2], numbers[1::2], strict=False) if share <= 100)


def _profile_line(profile: Profile | None) -> str:
    return "" if profile is None else " ".join(map(str, profile.counts)) + "|" + _line(profile.classes)


def _lines(kinds: WeakerImages) -> str:
    return f"{_line(kinds.middle)}|{_line(kinds.low)}" if kinds.low else ""


def _line(shares: Shares) -> str:
    return " ".join(f"{at} {share}" for at, share in shares)

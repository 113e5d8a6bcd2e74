"""A visitor's own list of features as a short text that fits a link: block_07:12,block_11:5."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hsae.errors import InputError

MOST = 60
"""Features in one list."""

Feature = tuple[str, int]
"""Layer and number."""


def read_kept(text: str, sizes: Mapping[str, int], most: int = MOST) -> tuple[Feature, ...]:
    """The features of a list; sizes: how many each layer has. InputError for anything else, or more than `most`."""
    features = tuple(read_feature(part, sizes) for part in text.split(",")) if text else ()
    if len(features) > most or len(set(features)) < len(features):
        raise InputError(f"a list of {len(features)} features", f"at most {most}, each once")
    return features


def read_feature(text: str, sizes: Mapping[str, int]) -> Feature:
    """A feature written block_07:12."""
    layer, _, latent = text.rpartition(":")
    if not (latent.isascii() and latent.isdigit() and len(latent) < 10 and int(latent) < sizes.get(layer, 0)):
        raise InputError(f"feature {text[:80]!r}", "a layer and a number it has, such as block_07:12")
    return layer, int(latent)


def write_feature(feature: Feature) -> str:
    """The inverse of `read_feature`."""
    return f"{feature[0]}:{feature[1]}"


def write_kept(features: Iterable[Feature]) -> str:
    """The inverse of `read_kept`."""
    return ",".join(map(write_feature, features))


def toggled(text: str, feature: str, sizes: Mapping[str, int], most: int = MOST) -> str:
    """The list with a feature at its end, or without it when it was there; InputError where it would be too long."""
    kept, chosen = read_kept(text, sizes, most), read_feature(feature, sizes)
    changed = write_kept([one for one in kept if one != chosen] if chosen in kept else [*kept, chosen])
    read_kept(changed, sizes, most)
    return changed

"""Where else features of patches fire: in small copies of the visitor's photograph, and in photographs of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hsae.relevancy import RelevancyMap
from hsae.views.page.models import Model
from hsae.views.parts.dim import mask_name, mask_uri
from hsae.views.parts.few import lit_html
from hsae.views.parts.left import go_on

PHOTOS = 4


def others_html(patches: Model, layer: str, latent: int) -> str:
    """The photographs on which a feature is strongest; where it fires in each comes with `other_masks`."""
    return lit_html(_keys(patches, layer, latent), PHOTOS, lambda key: _mask(patches, layer, latent, key))


def other_masks(patches: Model, layer: str, latents: Iterable[int]) -> dict[str, dict[str, str]]:
    """For masks.js: where each feature fires in its photographs."""
    return {
        "masks": {
            _mask(patches, layer, latent, key): mask_uri(found)
            for latent in latents
            for key, found in _maps(patches, layer, latent)
        }
    }


def _maps(patches: Model, layer: str, latent: int) -> Iterator[tuple[str, RelevancyMap]]:
    """Where a feature fires in each of its photographs: as stored, else by running them."""
    keys = _keys(patches, layer, latent)[:PHOTOS]
    stored = {key: patches.map(layer, latent, key) for key in keys}
    known = {key: found for key, found in stored.items() if found is not None}
    yield from known.items()
    if len(known) < len(keys):
        for example in patches.session().examples(layer, latent, PHOTOS):
            go_on()
            if example.key not in known and example.map is not None:
                yield example.key, example.map


def _keys(patches: Model, layer: str, latent: int) -> list[str]:
    return [key for key, _ in patches.artifact.top_images(layer)[latent]["starter"]]


def _mask(patches: Model, layer: str, latent: int, key: str) -> str:
    return mask_name(patches.name, layer, latent, key)

"""Where else features of patches fire: in small copies of the visitor's photograph, and in photographs of others."""

from __future__ import annotations

from collections.abc import Iterable

from hsae.views.page.models import Model
from hsae.views.parts.dim import mask_name, mask_uri
from hsae.views.parts.few import lit_html

PHOTOS = 4


def others_html(patches: Model, layer: str, latent: int) -> str:
    """The photographs on which a feature is strongest; where it fires in each comes with `other_masks`."""
    keys = [key for key, _ in patches.artifact.top_images(layer)[latent]["starter"]]
    return lit_html(keys, PHOTOS, lambda key: _mask(patches, layer, latent, key))


def other_masks(patches: Model, layer: str, latents: Iterable[int]) -> dict[str, dict[str, str]]:
    """For masks.js: where each feature fires in its photographs."""
    session = patches.session()
    return {
        "masks": {
            _mask(patches, layer, latent, example.key): mask_uri(example.map)
            for latent in latents
            for example in session.examples(layer, latent, PHOTOS)
            if example.map is not None
        }
    }


def _mask(patches: Model, layer: str, latent: int, key: str) -> str:
    return mask_name(patches.name, layer, latent, key)

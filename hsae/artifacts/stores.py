"""Does a store hold activations that an artifact's SAEs were made for?"""

from __future__ import annotations

from hsae.activations.store import ActivationStore
from hsae.artifacts.contents import Contents
from hsae.errors import StoreError


def check_store(artifact: Contents, store: ActivationStore) -> None:
    """StoreError unless it is of the same weights, image size and token, and has every layer at its width."""
    manifest = store.manifest
    made_by = manifest.backbone["weights_sha256"], manifest.backbone["image_size"], manifest.token
    expected = artifact.backbone["weights_sha256"], artifact.backbone["image_size"], artifact.token
    if made_by != expected:
        raise StoreError(
            f"{store.folder} holds activations by (weights, image size, token) {made_by}",
            f"{expected} of {artifact.id}",
        )
    missing = [f"{one.name} ({one.d_in})" for one in artifact.index.layers if store.layers.get(one.name) != one.d_in]
    if missing:
        there = ", ".join(f"{name} ({width})" for name, width in store.layers.items())
        raise StoreError(
            f"{store.folder} has no {', '.join(missing)} but {there}", "every layer of the artifact at its width"
        )

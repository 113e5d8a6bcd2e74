"""What an artifact holds, read and checked part by part when it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from hsae.artifacts.index import CURVES, EXTRAS, TREE, Index, Layer
from hsae.artifacts.latents_file import check_latents
from hsae.artifacts.parts import GivenParts, Parts
from hsae.artifacts.probes_file import check_probe
from hsae.artifacts.recent import Recent
from hsae.artifacts.sae_folder import Dtype, check_sae
from hsae.artifacts.strangers_json import check_plain
from hsae.artifacts.top_images_file import TopImages, check_top_images
from hsae.backbones.base import Token
from hsae.errors import ArtifactError, InputError
from hsae.measures.probes import LinearProbe
from hsae.sae.model import SparseAutoencoder

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
KEPT_SAES = 2**30
"""Bytes of SAEs that stay in memory; of an artifact with more of them, those that were used last."""
KEPT_LISTS, LIST_BYTES = 2**28, 3000
"""The same of lists of top images, and about what a latent's takes."""


class Contents:
    """SAEs, latent tables, top images and probes by layer, with curves and tree over all layers.

    Each part is read and checked when first asked for, then kept (of SAEs and lists of top images the last used, up to
    KEPT_SAES and KEPT_LISTS); what comes back is shared, so leave it unchanged.
    Safe to use from several threads. Every defect raises ArtifactError.
    """

    def __init__(
        self, index: Index, parts: Parts, id: str = "unsaved", sha256: str | None = None, folder: Path | None = None
    ) -> None:
        """index: what there is; parts: where it comes from.

        id: what it was loaded by: "starter", a folder, or org/name. sha256: of hsae.json, and so of the whole content;
        None in memory. folder: where all of it lies on this disk, if it does.
        """
        self.index, self.id, self.sha256, self.folder = index, id, sha256, folder
        self._parts = parts
        self._made: dict[tuple[str, str], Any] = {}
        self._saes: Recent[SparseAutoencoder] = Recent(KEPT_SAES)
        self._lists: Recent[TopImages] = Recent(KEPT_LISTS)
        self._lock = threading.RLock()

    @classmethod
    def from_parts(
        cls,
        *,
        backbone: Mapping[str, Any],
        dataset: Mapping[str, Any],
        taxonomy: Mapping[str, Any],
        **parts: Any,
    ) -> Self:
        """Made in memory, ready to save; the layers and their order are those of `saes`.

        backbone {id, revision, weights_sha256, image_size, token}, dataset {id, split, n_images, classes},
        taxonomy {tau, q, nulls, ...}. parts: saes, latents, top_images, probes, curves, tree and extras, the fields of
        `GivenParts`. artifacts/README.md says what is in each.
        """
        given = GivenParts(**parts)
        for name in ("latents", "top_images", "probes"):
            expected = [] if name == "probes" and not dataset.get("classes") else list(given.saes)
            if set(getattr(given, name)) != set(expected):
                raise ArtifactError(f"{name} of the layers {sorted(getattr(given, name))}", f"of the layers {expected}")
        for name in given.extras or {}:
            _check_extra(name)
        layers = tuple(Layer(name, sae.d_in, sae.d_sae) for name, sae in given.saes.items())
        return cls(Index(dict(backbone), dict(dataset), dict(taxonomy), layers), given)

    def only(self, layers: Sequence[str] | str | None) -> Self:
        """The same with some of its layers; itself for None."""
        if layers is None:
            return self
        return type(self)(self.index.only(layers), self._parts, self.id, self.sha256)

    @property
    def layers(self) -> tuple[str, ...]:
        """Layer names in model order."""
        return tuple(layer.name for layer in self.index.layers)

    @property
    def backbone(self) -> dict[str, Any]:
        """id, revision, weights_sha256, image_size and token."""
        return dict(self.index.backbone)

    @property
    def token(self) -> Token:
        """cls, patch or mean: the token the SAEs were trained on."""
        return self.index.backbone["token"]

    @property
    def dataset(self) -> dict[str, Any]:
        """id, split, n_images and classes."""
        return dict(self.index.dataset)

    @property
    def classes(self) -> tuple[str, ...]:
        """WordNet ids in the order of the probes' columns; none where the images had no labels."""
        return tuple(self.index.dataset["classes"])

    @property
    def taxonomy_rule(self) -> dict[str, Any]:
        """How classes were chosen for latents: tau, q, nulls, ..."""
        return dict(self.index.taxonomy)

    @property
    def dtype(self) -> Dtype:
        """float16 or float32: what its SAE weights are stored in, or will be."""
        return self._parts.dtype(self.index.layers[0])

    def sae(self, layer: str, k: int | None = None) -> SparseAutoencoder:
        """The SAE of a layer: float32, on the CPU, without gradients.

        k: of a TopK SAE, another of the numbers of active latents that it was trained with (`sae.ks`); InputError for
        any that it was not.
        """
        entry = self.index.layer(layer)
        size = 8 * entry.d_in * entry.d_sae
        sae = self._saes.get(layer, lambda: check_sae(self._parts.sae(entry), entry), size)
        return sae if k is None else sae.with_k(k)

    def latents(self, layer: str) -> pd.DataFrame:
        """One row per latent, with the columns of artifacts/README.md; the caller's own to change."""
        entry = self.index.layer(layer)
        n_classes = len(self.classes)
        frame = self._once(("latents", layer), lambda: check_latents(self._parts.latent_table(entry), entry, n_classes))
        return frame.copy(deep=False)  # pandas copies on write

    def top_images(self, layer: str) -> TopImages:
        """One entry per latent: {"dataset": [[row, activation], ...], "starter": [[key, activation], ...]}."""
        entry = self.index.layer(layer)
        size = LIST_BYTES * entry.d_sae
        return self._lists.get(layer, lambda: check_top_images(self._parts.images(entry), entry), size)

    def probe(self, layer: str) -> LinearProbe:
        """The linear probe of a layer's activations over `classes`; InputError where there are none."""
        entry = self.index.layer(layer)
        if not self.classes:
            got = f"{self.id} has no probe, as it was made from images without labels"
            raise InputError(got, "an artifact with classes", "Give its run labels, and run it again: SAEs are kept.")
        return self._once(("probe", layer), lambda: check_probe(self._parts.probe(entry), entry, len(self.classes)))

    @property
    def curves(self) -> dict[str, Any]:
        """Measures by layer, as plain JSON."""
        return self._once(("curves", ""), lambda: _check_object(self._parts.curves, CURVES))

    @property
    def tree(self) -> dict[str, Any]:
        """The feature tree with its scores against WordNet, as plain JSON."""
        return self._once(("tree", ""), lambda: _check_object(self._parts.tree, TREE))

    @property
    def documents(self) -> tuple[str, ...]:
        """Names of the optional documents the artifact has."""
        return self._parts.documents()

    def document(self, name: str) -> dict[str, Any] | None:
        """One of the optional documents, as plain JSON: "causal", "comparison", ... (artifacts/README.md).

        None when it is not there; InputError for any other name.
        """
        _check_extra(name)
        if name not in self.documents:
            return None
        return self._once((name, ""), lambda: _check_object(self._parts.document(name), EXTRAS[name]))

    def _once(self, key: tuple[str, str], make: Callable[[], T]) -> T:
        if key not in self._made:  # asked again under the lock; outside it, so that what is there never waits
            with self._lock:
                if key not in self._made:
                    self._made[key] = make()
        return self._made[key]


def _check_extra(name: str) -> None:
    if name not in EXTRAS:
        raise InputError(f"document {name!r:.80}", f"one of {', '.join(EXTRAS)}")


def _check_object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ArtifactError(f"{where} holds a {type(value).__name__}", "an object")
    check_plain(value, where)
    return value

"""What an artifact is made of, unchecked: given by the caller, or read from files when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hsae.artifacts.files import VerifiedFiles
from hsae.artifacts.index import CURVES, EXTRAS, LATENTS, TOP_IMAGES, TREE, Index, Layer
from hsae.artifacts.latents_file import read_latents
from hsae.artifacts.latents_file import size_limit as latents_limit
from hsae.artifacts.probes_file import read_probe
from hsae.artifacts.sae_folder import Dtype, read_dtype, read_sae
from hsae.artifacts.strangers_json import read_document
from hsae.artifacts.top_images_file import TopImages, read_top_images
from hsae.artifacts.top_images_file import size_limit as top_images_limit
from hsae.measures.probes import LinearProbe
from hsae.sae.model import SparseAutoencoder

if TYPE_CHECKING:
    import pandas as pd

_MAX_DOCUMENT_BYTES = 256 * 2**20


class Parts(Protocol):
    """Each part as it comes, unchecked."""

    @property
    def curves(self) -> Any: ...
    @property
    def tree(self) -> Any: ...
    def dtype(self, layer: Layer) -> Dtype: ...
    def sae(self, layer: Layer) -> SparseAutoencoder: ...
    def latent_table(self, layer: Layer) -> pd.DataFrame: ...
    def images(self, layer: Layer) -> Any: ...
    def probe(self, layer: Layer) -> LinearProbe: ...
    def documents(self) -> tuple[str, ...]: ...
    def document(self, name: str) -> Any: ...


@dataclass(frozen=True)
class GivenParts:
    """Parts in memory: SAEs, tables, top images and probes by layer name, and plain JSON."""

    saes: Mapping[str, SparseAutoencoder]
    latents: Mapping[str, pd.DataFrame]
    top_images: Mapping[str, TopImages]
    probes: Mapping[str, LinearProbe]
    """None where the data set has no classes."""
    curves: Mapping[str, Any]
    tree: Mapping[str, Any]
    extras: Mapping[str, Any] | None = None
    """The optional documents by name ("causal", ...)."""

    def dtype(self, layer: Layer) -> Dtype:
        return "float16"

    def sae(self, layer: Layer) -> SparseAutoencoder:
        return self.saes[layer.name]

    def latent_table(self, layer: Layer) -> pd.DataFrame:
        return self.latents[layer.name]

    def images(self, layer: Layer) -> Any:
        return self.top_images[layer.name]

    def probe(self, layer: Layer) -> LinearProbe:
        return self.probes[layer.name]

    def documents(self) -> tuple[str, ...]:
        return tuple(self.extras or ())

    def document(self, name: str) -> Any:
        return (self.extras or {})[name]


@dataclass(frozen=True)
class StoredParts:
    """Parts in files; `index` lists all of the artifact's layers, also those that are left out."""

    files: VerifiedFiles
    index: Index

    def dtype(self, layer: Layer) -> Dtype:
        return read_dtype(self.files, layer)

    def sae(self, layer: Layer) -> SparseAutoencoder:
        return read_sae(self.files, layer)

    def latent_table(self, layer: Layer) -> pd.DataFrame:
        path = layer.file(LATENTS)
        return read_latents(self.files.get(path, latents_limit(layer)), path, layer)

    def images(self, layer: Layer) -> Any:
        path = layer.file(TOP_IMAGES)
        return read_top_images(self.files.get(path, top_images_limit(layer)), path, layer)

    def probe(self, layer: Layer) -> LinearProbe:
        return read_probe(self.files, self.index, layer)

    @property
    def curves(self) -> Any:
        return self._json(CURVES)

    @property
    def tree(self) -> Any:
        return self._json(TREE)

    def documents(self) -> tuple[str, ...]:
        return self.index.extras

    def document(self, name: str) -> Any:
        return self._json(EXTRAS[name])

    def _json(self, path: str) -> Any:
        return read_document(self.files.get(path, _MAX_DOCUMENT_BYTES), path, _MAX_DOCUMENT_BYTES)

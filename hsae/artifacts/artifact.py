"""An artifact: the SAEs of a backbone's layers with everything measured on them, read part by part."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hsae.artifacts.files import LocalFiles, VerifiedFiles, open_files, sha256_of
from hsae.artifacts.index import CURVES, EXTRAS, INDEX, MAX_INDEX_BYTES, TREE, Index, Layer
from hsae.artifacts.latents_file import check_latents
from hsae.artifacts.parts import GivenParts, Parts, StoredParts
from hsae.artifacts.probes_file import check_probe
from hsae.artifacts.sae_folder import Dtype, check_sae
from hsae.artifacts.save import save_artifact
from hsae.artifacts.strangers_json import check_plain, read_document
from hsae.artifacts.top_images_file import TopImages, check_top_images
from hsae.errors import ArtifactError, InputError
from hsae.measures.probes import LinearProbe
from hsae.sae.model import SparseAutoencoder

if TYPE_CHECKING:
    import pandas as pd

    from hsae.backbones.base import Backbone

T = TypeVar("T")


class Artifact:
    """SAEs, latent tables, top images and probes by layer, with curves and tree over all layers.

    Each part is read and checked when first asked for, then kept; what comes back is shared, so leave it unchanged.
    Safe to use from several threads. Every defect raises ArtifactError.
    """

    id: str
    """What it was loaded by: "starter", a folder, or org/name; "unsaved" when made in memory."""
    sha256: str | None
    """Of hsae.json, and so of the whole content; None when made in memory."""
    index: Index
    folder: Path | None
    """Where all of it lies on this disk, if it does."""

    def __init__(
        self,
        *,
        backbone: Mapping[str, Any],
        dataset: Mapping[str, Any],
        taxonomy: Mapping[str, Any],
        saes: Mapping[str, SparseAutoencoder],
        latents: Mapping[str, pd.DataFrame],
        top_images: Mapping[str, TopImages],
        probes: Mapping[str, LinearProbe],
        curves: Mapping[str, Any],
        tree: Mapping[str, Any],
        extras: Mapping[str, Any] | None = None,
    ) -> None:
        """An artifact in memory, ready to save; the layers and their order are those of `saes`.

        backbone {id, revision, weights_sha256, image_size, token}, dataset {id, split, n_images, classes},
        taxonomy {tau, q, nulls, ...}; curves and tree are plain JSON. extras: the optional documents by name ("causal",
        ...). artifacts/README.md has the fields.
        """
        for name, given in {"latents": latents, "top_images": top_images, "probes": probes}.items():
            if set(given) != set(saes):
                raise ArtifactError(
                    f"{name} of the layers {sorted(given)}", f"of the same layers as saes: {list(saes)}"
                )
        for name in extras or {}:
            _check_extra(name)
        layers = tuple(Layer(name, sae.d_in, sae.d_sae) for name, sae in saes.items())
        index = Index(dict(backbone), dict(dataset), dict(taxonomy), layers)
        self._open(index, GivenParts(saes, latents, top_images, probes, curves, tree, extras or {}), "unsaved", None)

    @classmethod
    def load(
        cls, source: str | Path, revision: str | None = None, layers: Sequence[str] | str | None = None
    ) -> Artifact:
        """Open "starter", a folder or a Hub model org/name at a revision; only what is asked for is fetched and read.

        layers: those to keep, all by default.
        """
        files = open_files(source, revision)
        path = files.get(INDEX)
        index = Index.from_json(read_document(path, INDEX, MAX_INDEX_BYTES))
        artifact = cls.__new__(cls)
        artifact._open(index, StoredParts(VerifiedFiles(files, index.files), index), str(source), sha256_of(path))
        artifact.folder = files.folder if isinstance(files, LocalFiles) else None
        return artifact.only(layers)

    def _open(self, index: Index, parts: Parts, id: str, sha256: str | None) -> None:
        self.index, self.id, self.sha256, self.folder = index, id, sha256, None
        self._parts = parts
        self._made: dict[tuple[str, str], Any] = {}
        self._lock = threading.RLock()

    def only(self, layers: Sequence[str] | str | None) -> Artifact:
        """The same artifact with some of its layers; itself for None."""
        if layers is None:
            return self
        part = self.__class__.__new__(self.__class__)
        part._open(self.index.only(layers), self._parts, self.id, self.sha256)
        return part

    def save(
        self,
        folder: str | Path,
        dtype: Dtype = "float16",
        card: str | None = None,
        figures: Mapping[str, str] | None = None,
    ) -> Path:
        """Write the artifact as a folder, atomically, with SAE weights in `dtype`; returns the folder.

        card: text of README.md; figures: its SVG drawings by file name. The same parts give the same bytes. An artifact
        in `folder` is replaced as a whole; a folder with anything else in it raises ArtifactError.
        """
        return save_artifact(self, folder, dtype, card, figures)

    def push(
        self,
        repo_id: str,
        *,
        private: bool = False,
        revision: str | None = None,
        tag: str | None = None,
        layers: Sequence[str] | str | None = None,
        force: bool = False,
    ) -> str:
        """Publish the artifact as the Hub model `repo_id` in one commit, checked afterwards; returns the commit.

        revision: branch; tag: name for the commit; layers: those to publish, all by default. Broken off, it goes on
        where it stopped when called again. Nothing but the artifact's own files, card and figures leaves the machine.
        ArtifactError when another backbone's artifact or something else is there, or the tag is taken (unless force).
        """
        from hsae.artifacts.push import push_artifact

        return push_artifact(self, repo_id, private=private, revision=revision, tag=tag, layers=layers, force=force)

    @property
    def layers(self) -> tuple[str, ...]:
        """Layer names in model order."""
        return tuple(layer.name for layer in self.index.layers)

    @property
    def backbone(self) -> dict[str, Any]:
        """id, revision, weights_sha256, image_size and token."""
        return dict(self.index.backbone)

    @property
    def token(self) -> str:
        """cls, patch or mean: the token the SAEs were trained on."""
        return self.index.backbone["token"]

    @property
    def dataset(self) -> dict[str, Any]:
        """id, split, n_images and classes."""
        return dict(self.index.dataset)

    @property
    def classes(self) -> tuple[str, ...]:
        """WordNet ids in the order of the probes' columns."""
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
        sae = self._once(("sae", layer), lambda: check_sae(self._parts.sae(entry), entry))
        return sae if k is None else sae.with_k(k)

    def latents(self, layer: str) -> pd.DataFrame:
        """One row a latent, with the columns of artifacts/README.md; the caller's own to change."""
        entry = self.index.layer(layer)
        n_classes = len(self.classes)
        frame = self._once(("latents", layer), lambda: check_latents(self._parts.latents(entry), entry, n_classes))
        return frame.copy(deep=False)  # pandas copies on write

    def top_images(self, layer: str) -> TopImages:
        """One entry a latent: {"dataset": [[row, activation], ...], "starter": [[key, activation], ...]}."""
        entry = self.index.layer(layer)
        return self._once(("top_images", layer), lambda: check_top_images(self._parts.top_images(entry), entry))

    def probe(self, layer: str) -> LinearProbe:
        """The linear probe of a layer's activations over `classes`."""
        entry = self.index.layer(layer)
        return self._once(("probe", layer), lambda: check_probe(self._parts.probe(entry), entry, len(self.classes)))

    @property
    def curves(self) -> dict[str, Any]:
        """Measures by layer, as plain JSON."""
        return self._once(("curves", ""), lambda: _check_object(self._parts.curves(), CURVES))

    @property
    def tree(self) -> dict[str, Any]:
        """The feature tree with its scores against WordNet, as plain JSON."""
        return self._once(("tree", ""), lambda: _check_object(self._parts.tree(), TREE))

    @property
    def documents(self) -> tuple[str, ...]:
        """Names of the optional documents the artifact has."""
        return self._parts.extras()

    def document(self, name: str) -> dict[str, Any] | None:
        """One of the optional documents, as plain JSON: "causal", "comparison", ... (artifacts/README.md).

        None when it is not there; InputError for any other name.
        """
        _check_extra(name)
        if name not in self.documents:
            return None
        return self._once((name, ""), lambda: _check_object(self._parts.extra(name), EXTRAS[name]))

    def load_backbone(self) -> Backbone:
        """The backbone the artifact was made with, on the CPU; BackboneError when it cannot be had."""
        from hsae.backbones.registry import load_backbone

        stated = self.index.backbone
        backbone = load_backbone(stated["id"], image_size=stated["image_size"], revision=stated["revision"])
        self.check_backbone(backbone)
        return backbone

    def check_backbone(self, backbone: Backbone) -> None:
        """Raise ArtifactError unless `backbone` has the very weights the SAEs were trained on."""
        expected = self.index.backbone["weights_sha256"]
        if backbone.fingerprint != expected:
            raise ArtifactError(
                f"The weights of {backbone.id} have the fingerprint {backbone.fingerprint} ({backbone.dtype})",
                f"{expected}, the {self.index.backbone['id']} that {self.id} was made with",
                "Load that backbone, at the same revision and dtype",
            )

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

"""Two artifacts compared on the same images, from stored activations or new ones."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from scipy.sparse import csr_array

from hsae.activations.extract import extract_activations
from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.stores import check_store
from hsae.artifacts.top_images_file import strongest_photographs
from hsae.comparison.document import Photos
from hsae.comparison.models import Comparison, Model, compare
from hsae.data.samples import Samples
from hsae.errors import StoreError
from hsae.hierarchy import Taxonomy
from hsae.measures.sparse_latents import image_latents, sparse_latents, stack_latents
from hsae.sae.model import SparseAutoencoder


def match_latents(
    a: Artifact, b: Artifact, samples: Samples, *, stitch: bool = True, progress: bool = False
) -> Comparison:
    """Match the latents of two artifacts: every layer of A against every layer of B on `samples`.

    Both backbones run over the images once. By top-k image overlap (k 9 and 20) and by correlation: best, mutual and
    one-to-one partners, each beside what shuffled images give; stitch: also linear maps from A's latents to B's. Images
    without labels are compared too. InputError for fewer than 20 images; BackboneError without one of the backbones.
    """
    with TemporaryDirectory() as folder:
        stores = [
            extract_for(artifact, samples, Path(folder) / name, progress=progress)
            for name, artifact in {"a": a, "b": b}.items()
        ]
        return compare_stores(a, b, *stores, stitch=stitch, progress=progress)


def extract_for(artifact: Artifact, samples: Samples, folder: Path, *, progress: bool = True) -> ActivationStore:
    """Activations of `samples` at the artifact's layers and token, from the backbone it was made with."""
    backbone = artifact.load_backbone()
    return extract_activations(backbone, samples, folder, artifact.layers, artifact.token, progress=progress)


def compare_stores(
    a: Artifact,
    b: Artifact,
    store_a: ActivationStore,
    store_b: ActivationStore,
    *,
    stitch: bool = True,
    progress: bool = False,
) -> Comparison:
    """The same from stores of both artifacts' activations; StoreError unless they hold the same images in one order."""
    _require_same_images(store_a, store_b)
    labels, taxonomy = store_a.labels.numpy(), Taxonomy(a.classes)
    return compare(_model(a, store_a), _model(b, store_b), labels, taxonomy, stitch=stitch, progress=progress)


def starter_photos(artifact: Artifact) -> Photos:
    """Keys of the starter photographs that move each latent most, by layer."""
    return {layer: strongest_photographs(artifact.top_images(layer)) for layer in artifact.layers}


def _require_same_images(a: ActivationStore, b: ActivationStore) -> None:
    images_a, images_b = a.manifest.dataset, b.manifest.dataset
    # Older stores have only the fingerprint.
    identity = "images" if "images" in images_a and "images" in images_b else "fingerprint"
    if images_a[identity] != images_b[identity]:
        raise StoreError(
            f"{a.folder} holds {len(a)} images of {images_a['id']}, {b.folder} {len(b)} others of {images_b['id']}",
            "activations of the same images in the same order",
            "Name the images to compare on: --data, or hsae.match_latents(a, b, samples).",
        )
    if a.rows.tolist() != b.rows.tolist():
        raise StoreError(
            f"{a.folder} and {b.folder} skipped different broken images", "the same", "Extract both again."
        )


def _model(artifact: Artifact, store: ActivationStore) -> Model:
    """The artifact's latents of the store's activations, one value per image: the largest over its tokens."""
    check_store(artifact, store)
    return Model(
        artifact.backbone["id"],
        {layer: _latents(artifact.sae(layer), store, layer) for layer in artifact.layers},
        {layer: artifact.latents(layer) for layer in artifact.layers},
        artifact.curves,
    )


def _latents(sae: SparseAutoencoder, store: ActivationStore, layer: str) -> csr_array:
    shards = (store.shard(number, layer) for number in range(store.n_shards))
    return stack_latents([image_latents(sparse_latents(sae, x.flatten(0, 1)), x.shape[1]) for x in shards], sae.d_sae)

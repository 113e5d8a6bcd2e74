"""hsae: where does a vision model keep its hierarchy of concepts, and can you move it?

Names are imported when first used, so that `import hsae` is quick and loads neither transformers, gradio nor datasets.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hsae.errors import HsaeError
from hsae.version import __version__

if TYPE_CHECKING:
    from hsae.activations.extract import extract_activations
    from hsae.activations.store import ActivationStore
    from hsae.artifacts.artifact import Artifact
    from hsae.backbones.base import Backbone
    from hsae.backbones.registry import load_backbone
    from hsae.comparison.match_latents import match_latents
    from hsae.data.open_image import open_image
    from hsae.data.sample import Sample
    from hsae.data.samples import Samples, load_samples
    from hsae.data.stream import SampleStream, stream_samples
    from hsae.hierarchy.taxonomy import Taxonomy
    from hsae.measures.wordnet.tree import feature_tree
    from hsae.relevancy import RelevancyMap, relevancy_map
    from hsae.sae.config import SAEConfig
    from hsae.sae.model import SparseAutoencoder
    from hsae.sae.train import TrainConfig, train_bank
    from hsae.session import Session
    from hsae.steering.edits import Edit
    from hsae.steering.splice import run_with_edits

_HOMES = {
    "ActivationStore": "hsae.activations.store",
    "Artifact": "hsae.artifacts.artifact",
    "Backbone": "hsae.backbones.base",
    "Edit": "hsae.steering.edits",
    "RelevancyMap": "hsae.relevancy",
    "SAEConfig": "hsae.sae.config",
    "Sample": "hsae.data.sample",
    "SampleStream": "hsae.data.stream",
    "Samples": "hsae.data.samples",
    "Session": "hsae.session",
    "SparseAutoencoder": "hsae.sae.model",
    "Taxonomy": "hsae.hierarchy.taxonomy",
    "TrainConfig": "hsae.sae.train",
    "extract_activations": "hsae.activations.extract",
    "feature_tree": "hsae.measures.wordnet.tree",
    "load_backbone": "hsae.backbones.registry",
    "load_samples": "hsae.data.samples",
    "match_latents": "hsae.comparison.match_latents",
    "open_image": "hsae.data.open_image",
    "relevancy_map": "hsae.relevancy",
    "run_with_edits": "hsae.steering.splice",
    "stream_samples": "hsae.data.stream",
    "train_bank": "hsae.sae.train",
}

__all__ = [
    "ActivationStore",
    "Artifact",
    "Backbone",
    "Edit",
    "HsaeError",
    "RelevancyMap",
    "SAEConfig",
    "Sample",
    "SampleStream",
    "Samples",
    "Session",
    "SparseAutoencoder",
    "Taxonomy",
    "TrainConfig",
    "__version__",
    "extract_activations",
    "feature_tree",
    "load_backbone",
    "load_samples",
    "match_latents",
    "open_image",
    "relevancy_map",
    "run_with_edits",
    "stream_samples",
    "train_bank",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hsae' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

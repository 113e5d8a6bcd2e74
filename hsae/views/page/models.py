"""The artifacts an app shows; the backbones behind them are loaded in the background, each once."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.comparison import ComparisonReader
from hsae.artifacts.documents.examples import Examples, read_examples
from hsae.artifacts.documents.maps import read_map
from hsae.artifacts.documents.profiles import Weaker, read_profile, read_together, read_weaker
from hsae.artifacts.documents.steerable import Found, read_steerable
from hsae.artifacts.documents.tree import Concept, Edge, read_concepts, read_edges, read_node_scores
from hsae.backbones.base import Backbone
from hsae.errors import HsaeError
from hsae.hierarchy import Taxonomy, wordnet
from hsae.hierarchy.branching import branching
from hsae.measures.profiles import Profile
from hsae.measures.weaker_images import Shares
from hsae.measures.wordnet.pushes import Pushes
from hsae.relevancy import RelevancyMap, usable_methods
from hsae.report.shown_names import as_shown
from hsae.session import Session
from hsae.steering.turning import Turn
from hsae.views.page.kept import Feature
from hsae.views.page.own_images import OwnImages
from hsae.views.tabs.hierarchy.scatter import densities


class BackboneLoading(HsaeError):
    """The backbone is still being loaded: ask again."""


class Backbones:
    """The backbones of several artifacts: those of the same weights, settings and image size are one object."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loading: dict[tuple[object, ...], threading.Lock] = {}
        self._loaded: dict[tuple[object, ...], Backbone] = {}

    def load(self, artifact: Artifact) -> Backbone:
        """The artifact's backbone, waited for when another artifact is loading it; what cannot be had is an error."""
        origin = artifact.backbone
        key = tuple(origin[name] for name in ("id", "revision", "weights_sha256", "image_size"))
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        with loading:
            if key not in self._loaded:
                self._loaded[key] = artifact.load_backbone()
            return self._loaded[key]


class Model:
    """One artifact under a short name; what needs its backbone goes through `session`."""

    def __init__(self, name: str, artifact: Artifact, backbones: Backbones, images: OwnImages | None = None) -> None:
        """images: those it was measured on, where they lie on this machine."""
        self.name, self.artifact, self._backbones, self._images = name, artifact, backbones, images
        self.whole = self
        """The model whose patches these are; itself for any other."""
        self.patches: Model | None = None
        """The same model by an artifact of its patches, under a name of its own."""
        self._lock = threading.Lock()
        self._session: Future[Session] | None = None

    def beside(self, patches: Model) -> None:
        """Take another artifact of the same backbone as this one's patches: one model with two tokens."""
        self.patches, patches.whole = patches, self

    def of(self, session: Session) -> Session:
        """Of a session of the whole model the part that answers for this one."""
        return session if self.whole is self else session.patches

    def start(self) -> Future[Session]:
        """Begin to load the backbone unless that was done before; returns at once. The future is the whole model's."""
        if self.whole is not self:
            return self.whole.start()
        with self._lock:
            if self._session is None:
                worker = ThreadPoolExecutor(1, thread_name_prefix="backbone")
                self._session = worker.submit(self._begin)
                worker.shutdown(wait=False)
            return self._session

    def _begin(self) -> Session:
        patches = None if self.patches is None else self.patches.artifact
        return Session(self.artifact, self._backbones.load(self.artifact), patches)

    @property
    def loading(self) -> bool:
        """Whether waiting will help."""
        return not self.start().done()

    def session(self, *, wait: bool = False) -> Session:
        """A session without image; raises BackboneLoading, or the error that keeps the backbone from being loaded."""
        future = self.start()
        if not wait and not future.done():
            raise BackboneLoading(
                f"The model {self.artifact.backbone['id']} is being loaded; the first time it is downloaded too",
                do="Charts, hierarchy and feature cards work already.",
            )
        try:
            return self.of(future.result())
        except HsaeError as error:
            got = f"This needs the model {self.artifact.backbone['id']}, which could not be loaded. {error.got}"
            raise type(error)(got, error.expected, error.do) from error

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """Closure of the artifact's classes."""
        return Taxonomy(self.artifact.classes)

    @property
    def has_classes(self) -> bool:
        """Whether its images had labels; without, there are no probes and no places in WordNet."""
        return bool(self.artifact.classes)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Relevancy methods that the backbone can serve; found out once, by a few forward passes."""
        backbone = self.session().backbone
        blank = Image.new("RGB", (backbone.preprocessing.image_size,) * 2)
        return usable_methods(backbone, backbone.pixels([blank]), self.artifact.layers[-1])

    @cached_property
    def calibrated(self) -> bool:
        """Whether the probes' probabilities were made to mean what they say, on images of their own."""
        return any(self.artifact.probe(layer).temperature != 1 for layer in self.artifact.layers)

    @property
    def best_layer(self) -> str:
        """The layer with most features that beat chance; of several the one whose probe is right most often."""

        def merit(layer: str) -> tuple[float, float]:
            return self.curve(layer, "n_significant") or 0.0, self.curve(layer, "acc1_x") or 0.0

        return max(reversed(self.artifact.layers), key=merit)  # the last one when nothing was measured

    @property
    def first_layer(self) -> str:
        """The layer that the page opens at: the last, where what carries a concept adds up to what is read there."""
        return self.artifact.layers[-1] if self.has_classes else self.best_layer

    def curve(self, layer: str, measure: str) -> float | None:
        """A measure of a layer, None when the artifact does not have it."""
        value = self.artifact.curves.get(layer, {}).get(measure)
        return float(value) if isinstance(value, int | float) else None

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Features by layer."""
        return {layer.name: layer.d_sae for layer in self.artifact.index.layers}

    def markable(self, layer: str) -> dict[str, int]:
        """By kind how many features a layer has that can be shown in colours: its own, and those of its patches."""
        beside = {} if self.patches is None else self.patches.sizes
        return {"feature": self.sizes[layer]} | ({"patch": beside[layer]} if layer in beside else {})

    @cached_property
    def living(self) -> list[Feature]:
        """Every feature that ever fires; the first one of all where none does."""
        alive = [(layer, int(at)) for layer in self.sizes for at in np.flatnonzero(~self.latents(layer)["dead"])]
        return alive or [(self.artifact.layers[0], 0)]

    def edges(self, layer: str) -> list[Edge]:
        """The feature tree of a layer."""
        return read_edges(self.artifact.tree, layer, len(self.latents(layer)))

    def learned_concepts(self, layer: str) -> list[Concept]:
        """The concepts of a layer's cascaded SAE; none in artifacts of earlier versions."""
        return read_concepts(self.artifact.tree, layer, len(self.latents(layer)))

    def node_scores(self, node: str) -> dict[str, tuple[int, float]]:
        """By layer the latent that tells a WordNet node best, and how well; only layers where one was found."""
        return read_node_scores(self.artifact.tree, node, self.sizes)

    def profile(self, layer: str, latent: int) -> Profile | None:
        """How strongly and for which classes a latent fires, when the artifact says so."""
        return read_profile(self.artifact.document("profiles"), layer, latent, len(self.artifact.classes))

    def together(self, layer: str, latent: int) -> Shares:
        """The features that fire on the same images, with the per cent of the images of either; none if not known."""
        return read_together(self.artifact.document("profiles"), layer, latent, self.sizes[layer])

    def weaker(self, layer: str, latent: int) -> Weaker:
        """Images on which it fires, but not most strongly; none if not known."""
        return read_weaker(self.artifact.document("profiles"), layer, latent)

    def map(self, layer: str, latent: int, key: str) -> RelevancyMap | None:
        """Where a latent of patches fires in a starter photograph, as the artifact says; None where it does not."""
        values = read_map(self.artifact.document("maps"), layer, latent, key)
        return None if values is None else RelevancyMap(values, "activation", layer, float(values.max()))

    @cached_property
    def examples(self) -> Examples | OwnImages | None:
        """The images it was measured on, where it may show any: its thumbnails, else those on this machine."""
        return read_examples(self.artifact.document("examples")) or self._images

    @cached_property
    def turns(self) -> dict[Turn, Found]:
        """What was measured of turning photographs to and from concepts; empty where nothing was."""
        found = read_steerable(self.artifact.document("steerable"), self.artifact.layers, self.taxonomy.nodes)
        return {row.turn: row for row in found}

    @cached_property
    def comparison(self) -> ComparisonReader | None:
        """With another model, when the artifact has one."""
        document = self.artifact.document("comparison")
        return None if document is None else ComparisonReader(document, self.sizes)

    @cached_property
    def concepts(self) -> list[tuple[str, str]]:
        """Words and WordNet id of every class and of every node above some of them but not all, by name."""
        n = len(self.artifact.classes)
        some = (node for node in self.taxonomy.nodes if self.taxonomy.leaf_count(node) < n)
        known = ((", ".join(wordnet().lemmas(node)[:3]), node) for node in some)
        return sorted(known, key=lambda pair: pair[0].lower())

    @cached_property
    def branching(self) -> dict[str, list[str]]:
        """WordNet above the classes without single-child chains (`hierarchy.branching`)."""
        return branching(self.taxonomy)

    @cached_property
    def densities(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Of every layer, with what chance would give (`scatter.densities`)."""
        return densities({layer: self.latents(layer) for layer in self.artifact.layers}, self.taxonomy)

    @lru_cache(maxsize=64)  # noqa: B019 - a model is kept as long as the app runs
    def pushes(self, layer: str) -> Pushes:
        """The WordNet nodes that a layer's probe can tell apart; of a model with classes only."""
        return Pushes.of(self.artifact.probe(layer), self.taxonomy.nodes, self.taxonomy.members)

    @lru_cache(maxsize=64)  # noqa: B019 - as above
    def latents(self, layer: str) -> pd.DataFrame:
        """The artifact's table of a layer as it may be shown (`report.shown_names`); shared, so leave it unchanged."""
        return as_shown(self.artifact.latents(layer))


class Models(dict[str, Model]):
    """Models by name, in the order given; an artifact of patches belongs to the first other one of its backbone."""

    def __init__(self, artifacts: Sequence[Artifact], images: Mapping[str, OwnImages] | None = None) -> None:
        """images: by artifact id what it was measured on, where that lies on this machine."""
        backbones, found = Backbones(), dict[str, Model]()
        for artifact in artifacts:
            name = _short_name(artifact.id)
            unique = name if name not in found else f"{name} ({len(found) + 1})"
            found[unique] = Model(unique, artifact, backbones, (images or {}).get(artifact.id))
        for model in found.values():
            if model.artifact.token == "patch" and (other := _without_patches(found.values(), model)):
                other.beside(model)
        self.update({name: model for name, model in found.items() if model.whole is model})

    @property
    def named(self) -> dict[str, Model]:
        """All of these, and their patches under names of their own."""
        return {**self, **{model.patches.name: model.patches for model in self.values() if model.patches}}

    def settle(self, seconds: float) -> None:
        """Load all backbones, and wait for them so long; none takes that long unless it has to be downloaded."""
        wait([model.start() for model in self.values()], seconds)

    @property
    def loading(self) -> bool:
        """Whether any backbone is still being loaded."""
        return any(model.loading for model in self.values())


def _weights(artifact: Artifact) -> tuple[object, ...]:
    """What artifacts of one backbone have in common."""
    return tuple(artifact.backbone[name] for name in ("id", "revision", "weights_sha256", "image_size"))


def _without_patches(models: Iterable[Model], patches: Model) -> Model | None:
    """The first model of the same backbone that reads another token and has no patches yet."""
    return next(
        (
            model
            for model in models
            if model.artifact.token != "patch"
            and model.patches is None
            and _weights(model.artifact) == _weights(patches.artifact)
        ),
        None,
    )


def _short_name(id: str) -> str:
    """A Hub id or "starter" as it is; of a folder only its own name, since paths are private."""
    path = Path(id)
    if not path.is_dir():
        return id
    path = path.resolve()
    return path.parent.name if path.name == "artifact" else path.name

"""Inputs of one layer's report; what several measures need is computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from hsae.activations.stored_images import StoredImages
from hsae.hierarchy import Taxonomy
from hsae.measures.activity import LatentActivity, latent_activity
from hsae.measures.directions import Axes, matched_latents
from hsae.measures.moments import Moments, moments
from hsae.measures.probes import LinearProbe, ProbeSettings, fit_examples, fit_probe
from hsae.measures.sparse_latents import image_latents, sparse_latents
from hsae.measures.splits import rows_apart
from hsae.measures.wordnet import LabelledScores
from hsae.report.hierarchy import LabelledLatents
from hsae.sae.model import SparseAutoencoder

MAX_TRAIN_BYTES = 2**31
"""Training activations of a layer are in memory up to this size; more of them are read again for every epoch."""
MAX_FEATURE_BYTES = 2**29
"""Features of a probe are kept in memory up to this size: computing them again in every epoch takes longer."""

MAX_DIRECTIONS = 2048
"""Random directions to compare with, at most; enough for a mean."""
_IMAGES = 256  # encoded at once


def some_images(n: int, most: int | None) -> Tensor:
    """Numbers of at most `most` of `n` images: random but always the same ones, rising; None: all."""
    if most is None or most >= n:
        return torch.arange(n)
    return torch.randperm(n, generator=torch.Generator().manual_seed(0))[:most].sort().values


@dataclass(frozen=True, eq=False)
class LabelledActivations:
    """Activations `x [n_images, tokens, d_in]` with class indices `labels [n_images]` (-1: none)."""

    x: Tensor
    labels: Tensor

    @property
    def flat(self) -> tuple[Tensor, Tensor]:
        """Activations `[n_images x tokens, d_in]`, each with the label of its image."""
        return self.x.flatten(0, 1), self.labels.repeat_interleave(self.x.shape[1])

    def parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All of it at once, as `StoredImages` gives it part by part."""
        yield self.x, self.labels

    def subset(self, images: Tensor) -> LabelledActivations:
        """Some of the images: a mask or their numbers."""
        return LabelledActivations(self.x[images], self.labels[images])

    def some(self, most: int | None) -> LabelledActivations:
        """At most so many of the images: random but always the same ones, in order; None: all."""
        images = some_images(len(self.labels), most)
        return self if len(images) == len(self.labels) else self.subset(images)


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Further inputs about the layer and the held-out images; each part may be missing."""

    neurons: Tensor | None = None
    """What the MLP's hidden neurons add to the activations, `[n_neurons, d_in]` (Backbone.mlp_output)."""
    embeddings: Tensor | None = None
    """How the held-out images look to the backbone itself, `[n_images, d]`, for monosemanticity."""
    other_embeddings: Tensor | None = None
    """How they look to another encoder, `[n_images, d]` (Pach et al., arXiv 2504.02821, use one)."""
    groups: NDArray[Any] | None = None
    """Groups of classes that look alike, `[n_classes]`, for the likeness null."""
    baselines: Mapping[str, Any] = field(default_factory=dict)
    """Summaries of the same layer elsewhere, such as in a random backbone, by name."""


@dataclass(frozen=True, eq=False)
class LayerInputs:
    """A layer's SAE with its training and held-out activations.

    Frequency, reconstruction and probes count tokens; classes, looks and top images count images, whose latent is the
    largest over their tokens.
    """

    sae: SparseAutoencoder
    train: LabelledActivations | StoredImages
    heldout: LabelledActivations
    taxonomy: Taxonomy | None
    """None for images without labels: measures that need classes are left out."""
    tau: float = 0.5
    around: Surroundings = field(default_factory=Surroundings)
    choice: LabelledActivations | None = None
    """Images that choose the penalties and temperatures of probes; by default training images are set apart for it."""

    @cached_property
    def z(self) -> csr_array:
        """Latents of the held-out tokens, `[n_images x tokens, d_sae]`."""
        return sparse_latents(self.sae, self.heldout.flat[0])

    @cached_property
    def images(self) -> csr_array:
        """Latents of the held-out images, `[n_images, d_sae]`."""
        return image_latents(self.z, self.heldout.x.shape[1])

    @cached_property
    def activity(self) -> LatentActivity:
        """How often and how strongly each latent fires on the held-out tokens."""
        return latent_activity(self.z)

    @cached_property
    def train_moments(self) -> Moments:
        """Of the training tokens."""
        return moments(x.flatten(0, 1) for x, _ in self.train.parts())

    @cached_property
    def axes(self) -> Axes:
        """Of the training tokens."""
        return Axes.of(self.train_moments.covariance)

    @cached_property
    def random_images(self) -> csr_array:
        """Of as many random directions (at most MAX_DIRECTIONS) that fire as often as the living latents, as `images`.

        Without columns when no latent lives.
        """
        living = self.activity.frequency[~self.activity.dead]
        directions = self.axes.random(min(len(living), MAX_DIRECTIONS))
        z = matched_latents(self.heldout.flat[0], directions, living) if len(living) else self.z[:, :0]
        return image_latents(z, self.heldout.x.shape[1])

    @cached_property
    def labelled(self) -> LabelledLatents:
        """The latents of the held-out images that have a label."""
        if self.taxonomy is None:
            raise ValueError("a layer without classes has no labelled latents")
        labels = self.heldout.labels.numpy()
        return LabelledLatents(self.images[labels >= 0], labels[labels >= 0], self.taxonomy)

    @cached_property
    @torch.no_grad()
    def scores(self) -> LabelledScores:
        """Pre-activations of the held-out images that have a label, the largest over their tokens."""
        has_label = self.heldout.labels >= 0
        parts = [self.sae.pre_activation(x).amax(1) for x in self.heldout.x[has_label].split(_IMAGES)]
        return LabelledScores(torch.cat(parts).numpy(), self.heldout.labels[has_label].numpy())

    @cached_property
    def readings(self) -> dict[str, Reading]:
        """What probes read of activations: x, their reconstruction x_hat, or the latents z."""
        return {
            "x": Reading(lambda part: part),
            "x_hat": Reading(lambda part: self.sae(part)[0]),
            "z": Reading(self.sae.encode, ProbeSettings(scale="common")),
        }

    @cached_property
    def probes(self) -> dict[str, LinearProbe]:
        """A probe for each of `readings`, trained on that input, its penalty and temperature chosen for it."""
        n_classes, (train, choice) = len(self.labelled.taxonomy.classes), self._probe_images
        return {name: _fit_reading(reading, train, choice, n_classes) for name, reading in self.readings.items()}

    @property
    def _probe_images(self) -> tuple[LabelledActivations | StoredImages, LabelledActivations]:
        """Images to train probes and to choose on; all tokens of an image are in one of the two."""
        if self.choice is not None:
            return self.train, self.choice
        apart = torch.zeros(len(self.train.labels), dtype=torch.bool)
        apart[torch.from_numpy(rows_apart(self.train.labels.tolist(), ProbeSettings.share_apart))] = True
        return self.train.subset(~apart), in_memory(self.train.subset(apart))


def in_memory(images: LabelledActivations | StoredImages) -> LabelledActivations:
    """The same images, none of them on the disk."""
    if isinstance(images, LabelledActivations):
        return images
    return LabelledActivations(torch.cat([x for x, _ in images.parts()]), images.labels)


@dataclass(frozen=True, eq=False)
class Reading:
    """What a probe reads of activations `[n, d_in]`, and how it is fitted."""

    of: Callable[[Tensor], Tensor]
    settings: ProbeSettings = field(default_factory=ProbeSettings)

    @torch.no_grad()
    def all_of(self, x: Tensor) -> Tensor:
        """The features of all activations, in memory."""
        return torch.cat([self.of(part) for part in x.split(1024)])


@torch.no_grad()
def _fit_reading(
    reading: Reading, train: LabelledActivations | StoredImages, choice: LabelledActivations, n_classes: int
) -> LinearProbe:
    """A probe on `reading.of(x)`, computed once where that fits into memory, otherwise batch by batch."""
    (held, truth), settings = choice.subset(choice.labels >= 0).flat, reading.settings
    if isinstance(train, StoredImages):
        return fit_examples(train.known, (held, truth), n_classes, reading=reading.of, settings=settings)
    x, labels = train.flat
    size = 4 * len(x) * reading.of(x[:1]).shape[-1]
    if size > MAX_FEATURE_BYTES:
        return fit_probe(x, labels, n_classes, choice=(held, truth), reading=reading.of, settings=settings)
    features = (reading.all_of(held), truth)
    return fit_probe(reading.all_of(x), labels, n_classes, choice=features, settings=settings)

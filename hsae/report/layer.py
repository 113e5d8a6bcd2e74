"""All numbers of one layer of an artifact, from held-out images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from hsae.hierarchy import Taxonomy
from hsae.measures.activity import LatentActivity, latent_activity
from hsae.measures.directions import matched_latents, neuron_directions, principal_directions, random_directions
from hsae.measures.probes import LinearProbe, fit_probe
from hsae.measures.profiles import Profile, latent_profiles
from hsae.measures.reconstruction import reconstruction
from hsae.measures.sparse_latents import image_latents, sparse_latents
from hsae.measures.top_images import TopImages, top_images
from hsae.measures.wordnet import GROUP_SIZE, multi_class_nodes, select_classes
from hsae.measures.wordnet.node_probes import fit_node_probes
from hsae.report.hierarchy import LabelledLatents, Q, layer_summary, rule_summaries, selection_summary
from hsae.report.nulls import PERMUTATIONS, SHUFFLES, null_parts
from hsae.report.parts import Columns, alignment_parts, finite, look_parts, rare_parts, top_entropy
from hsae.report.table import layer_table
from hsae.report.tree import LayerStructure, layer_structure
from hsae.sae.model import SparseAutoencoder

RULES = {
    "rule": "firing rate on held-out images",
    "q": Q,
    "nulls": [
        "10000 shuffles of synsets over classes",
        f"{SHUFFLES} shuffles among classes of like colour and texture, {GROUP_SIZE} a group",
        f"{PERMUTATIONS} shuffles of each latent's firing rates",
        "random directions",
        "neurons",
        "principal axes",
    ],
    "best_node": "F1 with the classes selected on one half of the images; best_node_f1 from the other half",
}
"""How classes, nodes and p-values were found, for the artifact; tau and the taxonomy's own rules come beside it."""
MAX_DIRECTIONS = 2048  # random directions to compare with; enough for a mean

MAX_FEATURE_BYTES = 2**29
"""Features of a probe are kept in memory up to this size: computing them again in every epoch takes longer."""


@dataclass(frozen=True, eq=False)
class LabelledActivations:
    """Activations `x [n_images, tokens, d_in]` with class indices `labels [n_images]` (-1: none)."""

    x: Tensor
    labels: Tensor

    @property
    def flat(self) -> tuple[Tensor, Tensor]:
        """Activations `[n_images x tokens, d_in]`, each with the label of its image."""
        return self.x.flatten(0, 1), self.labels.repeat_interleave(self.x.shape[1])


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What else is known about the layer and the held-out images; each part may be missing."""

    neurons: Tensor | None = None
    """What the MLP's hidden neurons add to the activations, `[n_neurons, d_in]` (Backbone.mlp_output)."""
    embeddings: Tensor | None = None
    """How the held-out images look to the backbone itself, `[n_images, d]`, for monosemanticity."""
    other_embeddings: Tensor | None = None
    """How they look to another encoder, `[n_images, d]` (Pach et al., arXiv 2504.02821, use one)."""
    groups: NDArray[np.int64] | None = None
    """Groups of classes that look alike, `[n_classes]`, for the likeness null."""
    baselines: Mapping[str, Any] = field(default_factory=dict)
    """Summaries of the same layer elsewhere, such as in a random backbone, by name."""


@dataclass(frozen=True, eq=False)
class LayerReport:
    """What one layer contributes to an artifact."""

    probe: LinearProbe | None
    """Reads the classes from x; None without labels."""
    curves: dict[str, Any]
    """mse, var, fvu, cosine, l0, dead; acc1/acc5 on x, x_hat and z; summaries of the latents, nulls and baselines."""
    latents: pd.DataFrame
    structure: LayerStructure | None
    """Its tree of latents and node scores, for the artifact's tree; None without labels."""
    top_heldout: TopImages
    top_starter: TopImages
    profiles: list[Profile | None]
    """One per latent."""


def report_layer(
    sae: SparseAutoencoder,
    train: LabelledActivations,
    heldout: LabelledActivations,
    starter: Tensor,
    taxonomy: Taxonomy | None,
    tau: float = 0.5,
    around: Surroundings | None = None,
) -> LayerReport:
    """Fit probes on `train`; measure everything on `heldout`; find the strongest held-out and starter images.

    taxonomy: None for images without labels: then there is everything but probes and what WordNet says. Where some
    images have labels, these two are of those images.

    starter `[n_starter, tokens, d_in]`: activations of the starter photographs. Frequency, reconstruction and probes
    count tokens; classes, looks and top images count images, whose latent is the largest over their tokens.
    """
    around = around or Surroundings()
    x, _ = heldout.flat
    z = sparse_latents(sae, x)
    activity, images = latent_activity(z), image_latents(z, heldout.x.shape[1])
    neurons, alignment = alignment_parts(sae, around.neurons)
    looks, look = look_parts(images, around.embeddings, around.other_embeddings)
    quality = {name: finite(value) for name, value in asdict(reconstruction(sae, x, train.x.mean((0, 1)))).items()}
    classes = None if taxonomy is None else _classes(sae, train, heldout, images, activity, taxonomy, tau, around)
    curves: dict[str, Any] = {**quality, **alignment, **look, **rare_parts(sae, activity)}
    baselines = {**(classes.baselines if classes else {}), **around.baselines}
    return LayerReport(
        probe=classes.probe if classes else None,
        curves=curves | (classes.curves if classes else {}) | {"baselines": baselines},
        latents=layer_table(activity, classes and classes.known, tau).assign(
            **neurons, **looks, **(classes.columns if classes else {})
        ),
        structure=classes.structure if classes else None,
        top_heldout=top_images(images),
        top_starter=top_images(image_latents(sparse_latents(sae, starter.flatten(0, 1)), starter.shape[1])),
        profiles=classes.profiles if classes else latent_profiles(images, np.zeros((sae.d_sae, 0))),
    )


@dataclass(frozen=True, eq=False)
class _Classes:
    """What only labels can tell of a layer."""

    known: LabelledLatents
    probe: LinearProbe
    curves: dict[str, Any]
    columns: Columns
    baselines: dict[str, Any]
    structure: LayerStructure
    profiles: list[Profile | None]


def _classes(
    sae: SparseAutoencoder,
    train: LabelledActivations,
    heldout: LabelledActivations,
    images: csr_array,
    activity: LatentActivity,
    taxonomy: Taxonomy,
    tau: float,
    around: Surroundings,
) -> _Classes:
    """Probes, and what WordNet says, from the labelled images among latents `images [n_images, d_sae]`."""
    labels = heldout.labels.numpy()
    known = LabelledLatents(images[labels >= 0], labels[labels >= 0], taxonomy)
    columns, null = null_parts(known, around.groups, tau)
    probe, accuracies = _probes(sae, train, heldout, len(taxonomy.classes))
    return _Classes(
        known=known,
        probe=probe,
        curves={
            **accuracies,
            **top_entropy(images, labels, len(taxonomy.classes)),
            **null,
            **layer_summary(known, tau),
        },
        columns=columns,
        baselines=_baselines(train, heldout, activity, taxonomy, tau),
        structure=_structure(sae, train, heldout, known, tau),
        profiles=latent_profiles(known.z, known.rates().rates),
    )


def _structure(
    sae: SparseAutoencoder, train: LabelledActivations, heldout: LabelledActivations, known: LabelledLatents, tau: float
) -> LayerStructure:
    """Trees and probes see one activation an image, the mean of its tokens."""
    members = torch.tensor(known.taxonomy.members[multi_class_nodes(known.taxonomy)])
    probes = fit_node_probes(train.x.mean(1), train.labels, members)
    return layer_structure(known, heldout.x.mean(1)[heldout.labels >= 0], sae.W_dec.detach(), probes, tau)


def _baselines(
    train: LabelledActivations, heldout: LabelledActivations, activity: LatentActivity, taxonomy: Taxonomy, tau: float
) -> dict[str, Any]:
    """The same summary for directions that no one trained, firing as often as the living latents."""
    (x, _), (train_x, _) = heldout.flat, train.flat
    living, labels = activity.frequency[~activity.dead], heldout.labels.numpy()
    if not len(living):
        return {}
    kinds = {
        "random_directions": random_directions(train_x, min(len(living), MAX_DIRECTIONS)),
        "neurons": neuron_directions(x.shape[1]),
        "principal_axes": principal_directions(train_x),
    }
    found = {}
    for name, directions in kinds.items():
        z = image_latents(matched_latents(x, directions, living), heldout.x.shape[1])
        known = LabelledLatents(z[labels >= 0], labels[labels >= 0], taxonomy)
        at_tau = selection_summary(taxonomy, select_classes(known.rates(), tau))
        found[name] = {"n": len(directions), **at_tau, "rules": rule_summaries(known)}
    return found


@torch.no_grad()
def _probes(
    sae: SparseAutoencoder, train: LabelledActivations, heldout: LabelledActivations, n_classes: int
) -> tuple[LinearProbe, dict[str, float]]:
    """The probe on x, and held-out accuracies of probes on x, x_hat and z, each trained on its own kind of input."""
    x, labels = heldout.flat
    x, labels = x[labels >= 0], labels[labels >= 0]
    readings = {"x": lambda part: part, "x_hat": lambda part: sae(part)[0], "z": sae.encode}
    probes: dict[str, LinearProbe] = {}
    accuracies: dict[str, float] = {}
    for name, reading in readings.items():
        probes[name] = _fit_reading(reading, *train.flat, n_classes)
        features = torch.cat([reading(part) for part in x.split(1024)])
        accuracies |= {f"acc{top}_{name}": probes[name].accuracy(features, labels, top) for top in (1, 5)}
    return probes["x"], accuracies


def _fit_reading(reading: Callable[[Tensor], Tensor], x: Tensor, labels: Tensor, n_classes: int) -> LinearProbe:
    """A probe on `reading(x)`: made once where that fits into memory, otherwise batch by batch in every epoch."""
    size = 4 * len(x) * reading(x[:1]).shape[-1]
    if size > MAX_FEATURE_BYTES:
        return fit_probe(x, labels, n_classes, transform=reading)
    return fit_probe(torch.cat([reading(part) for part in x.split(1024)]), labels, n_classes)

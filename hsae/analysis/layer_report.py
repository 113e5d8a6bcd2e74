"""All numbers of one layer of an artifact, from held-out images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from hsae.analysis.latents import image_latents, sparse_latents
from hsae.analysis.layer_parts import alignment_parts, finite, look_parts, rare_parts, top_entropy
from hsae.analysis.layer_table import layer_table
from hsae.analysis.reconstruction import reconstruction
from hsae.analysis.sparsity import latent_activity
from hsae.analysis.top_images import TopImages, top_images
from hsae.hierarchy import Taxonomy
from hsae.probes import LinearProbe, fit_probe
from hsae.sae.model import SparseAutoencoder


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
    """How the held-out images look, `[n_images, d]`, for monosemanticity."""


@dataclass(frozen=True, eq=False)
class LayerReport:
    """What one layer contributes to an artifact."""

    probe: LinearProbe
    """Reads the classes from x."""
    curves: dict[str, Any]
    """mse, var, fvu, cosine, l0, dead; acc1/acc5 on x, x_hat and z; counts and medians over the latents."""
    latents: pd.DataFrame
    top_heldout: TopImages
    top_starter: TopImages


def report_layer(
    sae: SparseAutoencoder,
    train: LabelledActivations,
    heldout: LabelledActivations,
    starter: Tensor,
    taxonomy: Taxonomy,
    tau: float = 0.5,
    around: Surroundings | None = None,
) -> LayerReport:
    """Fit probes on `train`; measure everything on `heldout`; find the strongest held-out and starter images.

    starter `[n_starter, tokens, d_in]`: activations of the starter photographs. Frequency, reconstruction and probes
    count tokens; classes, looks and top images count images, whose latent is the largest over their tokens.
    """
    around = around or Surroundings()
    x, _ = heldout.flat
    z = sparse_latents(sae, x)
    activity, images = latent_activity(z), image_latents(z, heldout.x.shape[1])
    labels = heldout.labels.numpy()
    neurons, alignment = alignment_parts(sae, around.neurons)
    looks, look = look_parts(images, around.embeddings)
    latents = layer_table(activity, images, labels, taxonomy, tau).assign(**neurons, **looks)
    probe, accuracies = _probes(sae, train, heldout, len(taxonomy.classes))
    quality = {name: finite(value) for name, value in asdict(reconstruction(sae, x, train.x.mean((0, 1)))).items()}
    mixed = top_entropy(images, labels, len(taxonomy.classes))
    return LayerReport(
        probe=probe,
        curves={**quality, **accuracies, **hierarchy_summary(latents), **alignment, **look, **mixed}
        | rare_parts(sae, activity),
        latents=latents,
        top_heldout=top_images(images),
        top_starter=top_images(image_latents(sparse_latents(sae, starter.flatten(0, 1)), starter.shape[1])),
    )


def hierarchy_summary(latents: pd.DataFrame) -> dict[str, float | int | None]:
    """Counts of unassigned, single-class and multi-class latents, and medians over the multi-class ones."""
    multi = latents[latents.n_classes > 1]
    return {
        "n_unassigned": int((latents.n_classes == 0).sum()),
        "n_single_class": int((latents.n_classes == 1).sum()),
        "n_multi_class": len(multi),
        "median_height": float(multi.lch_height.median()) if len(multi) else None,
        "median_coverage": float(multi.coverage.median()) if len(multi) else None,
        "mean_coverage": float(multi.coverage.mean()) if len(multi) else None,
    }


def _probes(
    sae: SparseAutoencoder, train: LabelledActivations, heldout: LabelledActivations, n_classes: int
) -> tuple[LinearProbe, dict[str, float]]:
    """The probe on x, and held-out accuracies of probes on x, x_hat and z, each trained on its own kind of input."""
    x, labels = heldout.flat
    x, labels = x[labels >= 0], labels[labels >= 0]
    readings = {"x": lambda part: part, "x_hat": lambda part: sae(part)[0], "z": sae.encode}
    probes, accuracies = {}, {}
    for name, reading in readings.items():
        probes[name] = fit_probe(*train.flat, n_classes, transform=reading)
        features = torch.cat([reading(part) for part in x.split(1024)])
        accuracies |= {f"acc{top}_{name}": probes[name].accuracy(features, labels, top) for top in (1, 5)}
    return probes["x"], accuracies

"""All numbers of one layer of an artifact, from held-out images."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from hsae.analysis.latents import sparse_latents
from hsae.analysis.layer_table import layer_table
from hsae.analysis.reconstruction import reconstruction
from hsae.analysis.top_images import TopImages, top_images
from hsae.hierarchy import Taxonomy
from hsae.probes import LinearProbe, fit_probe
from hsae.sae.model import SparseAutoencoder


@dataclass(frozen=True)
class LabelledActivations:
    """Activations `x [n, d_in]` with class indices `labels [n]` (-1: none)."""

    x: Tensor
    labels: Tensor


@dataclass(frozen=True)
class LayerReport:
    """What one layer contributes to an artifact."""

    probe: LinearProbe
    """Reads the classes from x."""
    curves: dict[str, Any]
    """mse, var, fvu, cosine, l0, dead; acc1/acc5 on x, x_hat and z; counts and medians of the hierarchy."""
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
) -> LayerReport:
    """Fit probes on `train`; measure everything on `heldout`; find the strongest held-out and starter images.

    starter `[n_starter, d_in]`: activations of the starter photographs.
    """
    z = sparse_latents(sae, heldout.x)
    latents = layer_table(z, heldout.labels.numpy(), taxonomy, tau)
    probe, accuracies = _probes(sae, train, heldout, len(taxonomy.classes))
    quality = asdict(reconstruction(sae, heldout.x, train.x.mean(0)))
    return LayerReport(
        probe=probe,
        curves={**quality, **accuracies, **hierarchy_summary(latents)},
        latents=latents,
        top_heldout=top_images(z),
        top_starter=top_images(sparse_latents(sae, starter)),
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
    known = heldout.labels >= 0
    x, labels = heldout.x[known], heldout.labels[known]
    readings = {"x": lambda part: part, "x_hat": lambda part: sae(part)[0], "z": sae.encode}
    probes, accuracies = {}, {}
    for name, reading in readings.items():
        probes[name] = fit_probe(train.x, train.labels, n_classes, transform=reading)
        features = torch.cat([reading(part) for part in x.split(1024)])
        accuracies |= {f"acc{top}_{name}": probes[name].accuracy(features, labels, top) for top in (1, 5)}
    return probes["x"], accuracies

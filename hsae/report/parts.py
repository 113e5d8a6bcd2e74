"""Columns and numbers from weights and appearance: neuron alignment, monosemanticity, rare latents, label entropy."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from hsae.measures.activity import LatentActivity
from hsae.measures.alignment import mean_pairwise_cosine, nearest_neurons, neuron_alignment
from hsae.measures.entropy import top_label_entropy
from hsae.measures.monosemanticity import monosemanticity
from hsae.measures.plain import finite, median
from hsae.measures.top_images import top_images
from hsae.sae.model import SparseAutoencoder

RARE = 1e-3
"""A living latent that fires less often belongs to the ultra-low-density cluster."""
Numbers = dict[str, float | int | None]
Columns = dict[str, np.ndarray]


def alignment_parts(sae: SparseAutoencoder, neurons: Tensor | None) -> tuple[Columns, Numbers]:
    """Columns neuron and neuron_cosine (of the encoder), and the medians of encoder and decoder beside chance."""
    if neurons is None:
        return {}, {}
    encoder, (_, decoder) = neuron_alignment(sae.W_enc.T, neurons), nearest_neurons(sae.W_dec, neurons)
    numbers = {
        "neuron_cosine_encoder": median(np.abs(encoder.cosine)),
        "neuron_cosine_decoder": median(np.abs(decoder)),
        "neuron_cosine_chance": encoder.chance,
        "neuron_popular_share": encoder.popular,
        "neuron_popular_chance": encoder.popular_chance,
    }
    return {"neuron": encoder.neuron, "neuron_cosine": encoder.cosine}, numbers


def look_parts(
    z: csr_array, embeddings: Tensor | None, other_embeddings: Tensor | None = None
) -> tuple[Columns, Numbers]:
    """Columns monosemanticity and monosemanticity_other of latents `z [n_images, d_sae]`, their medians beside chance.

    The first uses the backbone's embeddings, the other those of another encoder; each only where given.
    """
    columns: Columns = {}
    numbers: Numbers = {}
    for name, vectors in {"monosemanticity": embeddings, "monosemanticity_other": other_embeddings}.items():
        if vectors is not None:
            scores = monosemanticity(z, vectors)
            columns[name] = scores.score
            numbers |= {name: median(scores.score), f"{name}_chance": finite(scores.chance)}
    return columns, numbers


def rare_parts(sae: SparseAutoencoder, activity: LatentActivity) -> Numbers:
    """Number of rare living latents and the mean pairwise cosine of their decoder rows, beside that of all living."""
    rare = torch.from_numpy(~activity.dead & (activity.frequency < RARE))
    alive = torch.from_numpy(~activity.dead)
    return {
        "n_rare": int(rare.sum()),
        "rare_decoder_cosine": finite(mean_pairwise_cosine(sae.W_dec[rare])),
        "living_decoder_cosine": finite(mean_pairwise_cosine(sae.W_dec[alive])),
    }


def top_entropy(z: csr_array, labels: np.ndarray, n_classes: int) -> Numbers:
    """Median label entropy over the latents' 20 strongest images."""
    return {"top_label_entropy": median(top_label_entropy(top_images(z, 20), labels, n_classes))}

"""What the analysis of a run costs, from its shape: formulas, with what they were fitted to beside them."""

from __future__ import annotations

from hsae.activations.stored_images import POOL_BYTES
from hsae.artifacts.contents import KEPT_SAES
from hsae.measures.probes import ProbeSettings
from hsae.report.cascade import LATENTS_PER_CONCEPT
from hsae.report.inputs import MAX_FEATURE_BYTES, MAX_TRAIN_BYTES
from hsae.sae.cascade import CELLS
from training.planning.costs import FLOAT, Asked, Cost
from training.planning.shape import LayerShape

WORDNET = 0.08e9
"""What the analysis loads besides."""
TABLES = 680
"""Bytes that an artifact holds of a latent besides its weights: its rows, top images and profiles."""
REPORT = 4000
"""Bytes that a latent's tables and lists take in memory until all layers are written."""
MLP = 4
"""Neurons of a block for each dimension of its activations."""

FLOPS = 8.5e10
"""Operations a second of one core."""
PENALTIES_TRIED = 5


def analysis(asked: Asked) -> Cost:
    """One layer at a time: its activations, what probes and names need of them, its SAE thrice; and all tables.

    The artifact keeps the SAEs that it was last asked for when it is written.
    """
    layers, images = asked.shape.layers, asked.shape.images
    largest = max(layers, key=lambda layer: layer.d_in * layer.tokens)
    width = FLOAT * largest.tokens * largest.d_in
    x = width * (images.heldout + images.choice + images.starter)
    scores = FLOAT * largest.d_sae * (images.heldout + max(images.heldout, images.choice))
    everywhere = sum(REPORT * layer.d_sae + FLOAT * MLP * layer.d_in**2 for layer in layers)
    saes = 3 * FLOAT * largest.weights + min(KEPT_SAES, sum(FLOAT * layer.weights for layer in layers))
    item = 2 if asked.config.artifact_dtype == "float16" else FLOAT
    return Cost(
        "analysis",
        images.heldout,
        disk=sum(item * layer.weights + TABLES * layer.d_sae for layer in layers),
        host=asked.base + WORDNET + x + scores + saes + everywhere + _probe_memory(asked, largest),
        device=0,
        flops=0,
        seconds=sum(_layer_seconds(asked, layer) for layer in layers) / min(asked.processes, len(layers)),
    )


def _probe_memory(asked: Asked, layer: LayerShape) -> float:
    """Training activations and features where they fit into memory, else a pool of them; and what chooses."""
    images, tokens = asked.shape.images, asked.probed * layer.tokens
    apart = 0.0 if images.choice else ProbeSettings.share_apart
    x = FLOAT * layer.d_in * tokens
    if x > MAX_TRAIN_BYTES:
        choice = apart * tokens + images.choice * layer.tokens
        return 2 * POOL_BYTES + apart * x + FLOAT * images.classes * choice
    features = 2 * min(MAX_FEATURE_BYTES, FLOAT * tokens * layer.d_sae)
    return x * (2 if apart else 1) + features


def _layer_seconds(asked: Asked, layer: LayerShape) -> float:
    """One layer on one core of an AMD EPYC with bfloat16.

    Two decompositions of a covariance, cosines of decoder rows, three products of latents and neurons, 200 steps of
    the cascade; then by latent what names, trees and nulls take of held-out images, of images that choose, of classes
    and, where rates are shuffled, of nodes and classes. Fitted to one layer of 384 to 1 536 dimensions and 1 536 to
    8 192 latents on 64 to 16 000 images of 4 to 1 000 classes; most are named. What images cost has since fallen by as
    much as it did in training/benchmarks/analysis.py, for 12 288 latents.
    """
    images, d, m, tokens = asked.shape.images, layer.d_in, layer.d_sae, layer.tokens
    fixed = 1 + 1e-3 * d + 4.4e-10 * d**3 + 4.7e-11 * m**2 * d
    neurons = 3 * m * MLP * d * (2 * d / FLOPS + 1.5e-9)
    concepts = max(1, m // LATENTS_PER_CONCEPT)
    cells = min(m * concepts, CELLS)
    cascade = 1 + 1.3e-9 * cells * d + 2.5e-6 * concepts * d + 2.5e-6 * cells
    per_latent = (
        6e-4 + 3.9e-7 * images.heldout + 3.6e-7 * images.choice + 7e-6 * images.classes + 2.1e-8 * images.classes**2
    )
    per_latent += tokens * (1.5e-7 * images.heldout + 1.4e-10 * d * (images.heldout + images.choice))
    return fixed + neurons + cascade + per_latent * m + (_probe_seconds(asked, layer) if images.classes else 0)


def _probe_seconds(asked: Asked, layer: LayerShape) -> float:
    """Probes of x, x_hat and z: more epochs of few tokens; features that are not kept are computed in each of them."""
    tokens, d, m = max(1, asked.probed * layer.tokens), layer.d_in, layer.d_sae
    epochs = max(ProbeSettings.epochs, min(7, ProbeSettings.steps * ProbeSettings.batch_size / tokens))
    fitting = 2.4e-10 * epochs * (asked.shape.images.classes + 40) * tokens * (m + 2 * d)
    kept = FLOAT * tokens * m <= MAX_FEATURE_BYTES
    return fitting + (0 if kept else PENALTIES_TRIED * epochs * 2 * d * m * tokens / FLOPS)

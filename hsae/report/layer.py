"""All that one layer contributes to an artifact, from held-out images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hsae.hierarchy import distinct_nodes, wordnet
from hsae.measures.cofiring import cofiring
from hsae.measures.probes import LinearProbe
from hsae.measures.profiles import Profile, latent_profiles
from hsae.measures.sparse_latents import image_latents, sparse_latents
from hsae.measures.top_images import TopImages, top_images
from hsae.measures.weaker_images import Shares, WeakerImages, weaker_images
from hsae.measures.wordnet import GROUP_SIZE
from hsae.measures.wordnet.node_probes import stream_node_probes
from hsae.report.hierarchy import Q
from hsae.report.inputs import LayerInputs
from hsae.report.measures import measure_layer
from hsae.report.nulls import PERMUTATIONS, SHUFFLES
from hsae.report.parts import Columns
from hsae.report.shown_names import SILENT, UNASSIGNED
from hsae.report.tree import LayerStructure, layer_structure

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
"""How classes, nodes and p-values were determined, for the artifact; stored beside tau and the taxonomy's rules."""


@dataclass(frozen=True, eq=False)
class LayerReport:
    """What one layer contributes to an artifact; probe and structure are None without labels."""

    probe: LinearProbe | None
    """Reads the classes from x."""
    curves: dict[str, Any]
    """The layer's numbers, as curves.json has them."""
    latents: pd.DataFrame
    structure: LayerStructure | None
    """Its tree of latents and node scores, for the artifact's tree."""
    top_heldout: TopImages
    top_starter: TopImages
    profiles: list[Profile | None]
    """One per latent, like those below."""
    together: list[Shares]
    weaker_heldout: list[WeakerImages]
    weaker_starter: list[WeakerImages]


def report_layer(inputs: LayerInputs, starter: Tensor) -> LayerReport:
    """Fit probes on the training activations, measure everything on the held-out ones.

    starter `[n_starter, tokens, d_in]`: activations of the starter photographs, whose strongest are listed too.
    """
    columns, numbers = measure_layer(inputs)
    labelled = inputs.taxonomy is not None
    rates = inputs.labelled.rates().rates if labelled else np.zeros((inputs.sae.d_sae, 0))
    photos = image_latents(sparse_latents(inputs.sae, starter.flatten(0, 1)), starter.shape[1])
    return LayerReport(
        probe=inputs.probes["x"] if labelled else None,
        curves=numbers,
        latents=pd.DataFrame(columns).assign(label=_labels(columns)),
        structure=_structure(inputs) if labelled else None,
        top_heldout=top_images(inputs.images),
        top_starter=top_images(photos),
        profiles=latent_profiles(inputs.labelled.z if labelled else inputs.images, rates),
        together=cofiring(inputs.images),
        weaker_heldout=weaker_images(inputs.images),
        weaker_starter=weaker_images(photos),
    )


def _labels(columns: Columns) -> list[str]:
    """Words for each latent: its best WordNet node, or that it has none."""
    nodes = columns.get("best_node", [None] * len(columns["dead"]))
    return [
        SILENT if dead else UNASSIGNED if node is None else wordnet().name(node)
        for dead, node in zip(columns["dead"], nodes, strict=True)
    ]


def _structure(inputs: LayerInputs) -> LayerStructure:
    """Trees and probes use one activation per image, the mean of its tokens."""
    data, has_label = inputs.labelled, inputs.heldout.labels >= 0
    members = torch.tensor(data.taxonomy.members[distinct_nodes(data.taxonomy)])
    probes = stream_node_probes(((x.mean(1), labels) for x, labels in inputs.train.parts()), members)
    x, decoder = inputs.heldout.x.mean(1)[has_label], inputs.sae.W_dec.detach()
    return layer_structure(data, inputs.scores, x, decoder, probes, inputs.tau)

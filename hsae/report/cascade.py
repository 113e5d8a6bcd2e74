"""A layer's learned tree: latents under the concepts of a cascaded SAE, scored as the feature tree is."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack
from torch import Tensor

from hsae.hierarchy.lch import MISSING
from hsae.measures.plain import rounded
from hsae.measures.splits import halves
from hsae.measures.wordnet import learned_tree, score_tree_with_null
from hsae.report.hierarchy import LabelledLatents, best_nodes
from hsae.sae.cascade import Cascade, cascade

LATENTS_PER_CONCEPT = 8


def layer_cascade(data: LabelledLatents, decoder: Tensor, tau: float) -> dict[str, Any]:
    """Plain JSON: fvu of the decoder rows; concepts as [images, node]; edges as [concept, latent, strength]; scores.

    A concept's activation is the sum of its latents', each times its strength. Nodes come from the first half of the
    images, edges and scores from the second. decoder `[d_sae, d_in]`.
    """
    n, first = len(decoder), halves(data.labels)
    learned = cascade(decoder, max(1, n // LATENTS_PER_CONCEPT))
    parent, strength = learned.parent.numpy(), learned.strength.numpy()
    both = LabelledLatents(_with_concepts(data.z, learned), data.labels, data.taxonomy)
    nodes = best_nodes(both, tau)[0]
    tree = learned_tree(both.z[~first], np.append(np.where(parent < 0, -1, parent + n), [-1] * learned.n_concepts))
    names = [None if node == MISSING else data.taxonomy.nodes[node] for node in nodes[n:]]
    return {
        "fvu": rounded(np.array([learned.fvu]))[0],
        "concepts": [[int(size), name] for size, name in zip(tree.sizes[n:], names, strict=True)],
        "edges": [[int(p - n), int(c), *rounded(strength[c : c + 1])] for p, c in zip(*tree.edges, strict=True)],
        "scores": score_tree_with_null(tree, nodes, data.taxonomy),
    }


def _with_concepts(z: csr_array, learned: Cascade) -> csr_array:
    """Latents `[n_images, d_sae]` and, after them, the activations of the concepts."""
    latents = np.flatnonzero(learned.parent.numpy() >= 0)
    entries = learned.strength.numpy()[latents], (latents, learned.parent.numpy()[latents])
    return csr_array(hstack([z, z @ csr_array(entries, shape=(z.shape[1], learned.n_concepts))]))

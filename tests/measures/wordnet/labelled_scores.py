"""Scores of labelled images with a known answer: noise, and latents that tell one node each."""

from __future__ import annotations

import numpy as np

from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import LabelledScores

CATS, DOG = ("n02123045", "n02123394", "n02123597"), "n02084071"
# three cats, two dogs and a wolf, two whales, a fish, vehicles and others
CLASSES = (
    *(*CATS, "n02088364", "n02106662", "n02114367", "n02066245", "n02071294"),
    *("n01440764", "n03345487", "n03478589", "n04389033", "n04552348", "n06794110", "n02799071", "n02802426"),
)


def balanced_labels(seed: int, a_class: int = 20, classes: int = len(CLASSES)) -> np.ndarray:
    """As many images of every class, in random order."""
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(classes), a_class))


def noise(seed: int, n: int = 40, a_class: int = 20) -> LabelledScores:
    """Scores that know nothing of the classes."""
    labels = balanced_labels(seed, a_class)
    scores = np.random.default_rng([seed, 1]).standard_normal((len(labels), n))
    return LabelledScores(scores.astype(np.float32), labels)


def planted(taxonomy: Taxonomy, nodes: list[str], seed: int, n: int = 40, strength: float = 4) -> LabelledScores:
    """Noise, but latent i scores the images under nodes[i] higher by `strength` standard deviations."""
    data = noise(seed, n)
    for latent, node in enumerate(nodes):
        under = taxonomy.members[taxonomy.position(node)][data.labels]
        data.scores[under, latent] += strength
    return data

"""Whether two models see images with the same weights: then their activations are the same, and so are their SAEs."""

from __future__ import annotations

from hsae.backbones.base import Backbone


def same_vision_tower(a: Backbone, b: Backbone) -> bool:
    """Whether all weights of the image side are equal, bit for bit; of models with a text side it alone is loaded.

    True of a CLIP whose text side alone was fine-tuned, such as RE-CLIP (Alper and Averbuch-Elor 2024).
    """
    return a.fingerprint == b.fingerprint

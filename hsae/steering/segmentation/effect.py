"""Effect of switching features off on an object's patches on its segmentation, compared with a random direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hsae.faithfulness.scenes import Scene, coverage
from hsae.measures.statistics import against_control
from hsae.sae.model import SparseAutoencoder
from hsae.steering.editor import Editor
from hsae.steering.edits import Edit, Op
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.maps import Segmentation, segment


def suppression(
    editor: Editor, scenes: Sequence[Scene], layer: str, head: PatchHead, last: str, n_latents: int
) -> dict[str, float | None]:
    """Share of pixels, on the object's patches and elsewhere, whose class changes when its latents are switched off.

    The `n_latents` of each scene are those that fire most on the object's patches compared with all others. Returned
    beside them: the same shares for a random direction of equal norm at the same patches, and the paired difference.
    """
    backbone, sae = editor.backbone, editor.saes[layer]
    size = backbone.preprocessing.image_size
    places = backbone.token_map(layer, torch.zeros(1, 3, size, size))
    segmentations: list[Segmentation] = []
    for seed, scene in enumerate(scenes):
        start = backbone.run([scene.image], [layer, last])
        x = backbone.select_token(start[layer], layer, "patch")[0]
        on_object = coverage(scene.mask, places, len(x)) >= 0.5
        latents = specific_latents(sae, x, on_object, n_latents)
        if not latents:
            continue
        edit = Edit(layer, tuple(Op(j, "off") for j in latents), tuple(np.flatnonzero(on_object).tolist()))
        segmentations.append(segment(editor, edit, start, head, last, size=size, control_seed=seed))
    return _summary(segmentations)


@torch.no_grad()
def specific_latents(sae: SparseAutoencoder, x: Tensor, on_object: np.ndarray, n: int) -> list[int]:
    """Up to `n` latents with the largest mean on the object's patches minus that elsewhere; x `[patches, d_in]`."""
    if on_object.all() or not on_object.any():
        return []
    z, inside = sae.encode(x), torch.from_numpy(on_object)
    contrast = z[inside].mean(0) - z[~inside].mean(0)
    values, latents = contrast.topk(min(n, sae.d_sae))
    return [latent for latent, value in zip(latents.tolist(), values.tolist(), strict=True) if value > 0]


def _summary(segmentations: Sequence[Segmentation]) -> dict[str, float | None]:
    if not segmentations:
        return {"n_scenes": 0}
    target = np.array([one.target_changed for one in segmentations])
    random = np.array([one.control_changed for one in segmentations])
    return {
        "n_scenes": len(segmentations),
        "target_changed": float(target.mean()),
        "other_changed": float(np.mean([one.other_changed for one in segmentations])),
        "target_changed_random": float(random[:, 0].mean()),
        "other_changed_random": float(random[:, 1].mean()),
        **{f"target_{name}": value for name, value in against_control(target, random[:, 0]).items()},
    }

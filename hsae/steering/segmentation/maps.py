"""Segmentation of one image before and after an edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hsae.backbones.base import Backbone
from hsae.errors import InputError
from hsae.steering.controls import random_like
from hsae.steering.deltas import Change, scope_tokens
from hsae.steering.editor import Editor, first_layer
from hsae.steering.edits import Edit
from hsae.steering.segmentation.head import PatchHead


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The class of every pixel, as indices into `classes`, int `[height, width]` each."""

    classes: tuple[str, ...]
    before: np.ndarray
    after: np.ndarray
    control: np.ndarray | None
    """After a random direction of the same norm was added to the same patches instead."""
    target: np.ndarray
    """bool `[height, width]`: the pixels of the patches that were edited."""
    changes: tuple[Change, ...] = ()
    """Each edited latent before and after; `Change.silent` where it fires at none of the edited patches."""

    @property
    def target_changed(self) -> float:
        """Share of the edited patches' pixels that changed their class, in [0, 1]; NaN when no patch was edited."""
        return self._changed_share(self.after, self.target)

    @property
    def other_changed(self) -> float:
        """The same of all other pixels: the change that attention spread."""
        return self._changed_share(self.after, ~self.target)

    @property
    def control_changed(self) -> tuple[float, float]:
        """`target_changed` and `other_changed` of the random direction."""
        if self.control is None:
            raise InputError("a segmentation without control", "one made with a control_seed")
        return self._changed_share(self.control, self.target), self._changed_share(self.control, ~self.target)

    def _changed_share(self, after: np.ndarray, where: np.ndarray) -> float:
        return float((after != self.before)[where].mean()) if where.any() else np.nan


@torch.no_grad()
def segment(
    editor: Editor,
    edit: Edit,
    start: Mapping[str, Tensor],
    head: PatchHead,
    layer: str,
    control_seed: int | None = None,
) -> Segmentation:
    """The classes that a head assigns to the pixels the backbone sees of one image, before and after an edit.

    start: cached activations, also at `layer`, where the head reads.
    """
    backbone = editor.backbone
    size = backbone.preprocessing.image_size
    _, tokens = first_layer(backbone, [edit], start)
    run = editor.run([edit], start, [layer])
    before = class_map(backbone, head, start[layer], layer, size)
    after, control = before, None
    if run.touches(0):
        after = class_map(backbone, head, run.activations[layer], layer, size)
    if control_seed is not None:
        pushed = editor.add(tokens, random_like(run.deltas, control_seed), [layer])[layer]
        control = class_map(backbone, head, pushed, layer, size) if run.touches(0) else before
    target = _edited_pixels(backbone, edit, start[layer], layer, size)
    return Segmentation(head.classes, before, after, control, target, run.changes[0])


def class_map(backbone: Backbone, head: PatchHead, x: Tensor, layer: str, size: int) -> np.ndarray:
    """Most likely class of every pixel, int `[size, size]`, from one image's activations `[1, tokens, d_in]`.

    Logits of patches are interpolated bilinearly. InputError for a layer of segments.
    """
    rows, cols = backbone.grid(layer, size, size)
    if rows == 1 < cols:  # tokens of a layer without rows and columns stand for other pixels in every image
        got = f"a patch head at {layer} of {backbone.id}, whose tokens are segments"
        raise InputError(got, "a layer of patches in rows and columns")
    return pixel_classes(head.logits(backbone.select_token(x, layer, "patch")), rows, size)[0]


def pixel_classes(logits: Tensor, rows: int, size: int) -> np.ndarray:
    """Most likely class of every pixel, int `[batch, size, size]`, from patches `[batch, patches, n_classes]`.

    rows: of patches.
    """
    grid = logits.transpose(1, 2).unflatten(2, (rows, -1))
    return interpolate(grid.float(), size=(size, size), mode="bilinear").argmax(1).cpu().numpy()


def _edited_pixels(backbone: Backbone, edit: Edit, x: Tensor, layer: str, size: int) -> np.ndarray:
    n_prefix = backbone.layers[layer].n_prefix
    edited = torch.zeros(x.shape[1], dtype=torch.bool)
    for step in edit.steps():
        edited[scope_tokens(step.scope, x.shape[1], n_prefix)] = True
    places = backbone.token_map(layer, torch.zeros(1, 3, size, size)).cpu()
    return (edited[n_prefix:][places.clamp_min(0)] & (places >= 0)).numpy()

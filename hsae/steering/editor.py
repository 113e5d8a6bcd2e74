"""Edit the activations of a backbone and run on: only the layers after the first edited one are computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.errors import InputError
from hsae.sae.model import SparseAutoencoder
from hsae.steering.controls import feature_like, random_like
from hsae.steering.deltas import Change, edit_delta, scope_tokens
from hsae.steering.edits import Edit


@dataclass(frozen=True, eq=False)
class EditedRun:
    """Activations of one image under several edits, one row each."""

    activations: dict[str, Tensor]
    """`[edits, tokens, d_in]` for each layer asked for."""
    deltas: dict[str, Tensor]
    """What was added at each edited layer, `[edits, tokens, d_in]`; 0 where a token was not touched."""
    changes: tuple[tuple[Change, ...], ...]
    """Per edit, one entry for each of its ops that is not neutral."""
    delta_norm_ratios: tuple[float, ...]
    """Per edit, ||x' - x|| / ||x|| over the touched tokens; the largest one when several layers were edited."""

    def touches(self, row: int) -> bool:
        """Whether the edit of that row added anything anywhere."""
        return any(bool(delta[row].any()) for delta in self.deltas.values())


@dataclass(frozen=True, eq=False)
class Editor:
    """A backbone whose activations can be edited, with the SAEs and statistics of the latents that edits need."""

    backbone: Backbone
    saes: Mapping[str, SparseAutoencoder]
    p999: Mapping[str, np.ndarray | Tensor]
    """Per layer the unit of each latent's amounts, `[d_sae]`."""
    frequencies: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Per layer the firing rate of each latent, `[d_sae]`: for the control by another feature."""
    maxima: Mapping[str, np.ndarray | Tensor] = field(default_factory=dict)
    """Per layer the largest value of each latent on the data set, `[d_sae]`."""

    @torch.no_grad()
    def run(self, edits: Sequence[Edit], start: Tensor | Mapping[str, Tensor], layers: Sequence[str]) -> EditedRun:
        """Activations at `layers` under each of several alternative edits of one image, in one batch.

        start: pixels `[1, 3, height, width]`, or cached activations `{layer: [1, tokens, d_in]}`, the lowest edited
        layer's among them. layers: edited ones or later.
        """
        first, tokens = first_layer(self.backbone, edits, start)
        before: dict[str, Tensor] = {}
        after: dict[str, Tensor] = {}
        changes: list[list[Change]] = [[] for _ in edits]

        def change(layer: str, tokens: Tensor) -> Tensor:
            before[layer], after[layer] = tokens, tokens.clone()
            for row, edit in enumerate(edits):
                for step in edit.steps():
                    if step.layer == layer:
                        changes[row] += self._apply(after[layer][row], step)
            return after[layer]

        tokens = tokens.expand(len(edits), -1, -1)
        activations = replay(self.backbone, first, tokens, edited_layers(self.backbone, edits), change, layers)
        deltas = {layer: after[layer] - before[layer] for layer in after}
        ratios = torch.stack([_norm_ratios(deltas[layer], before[layer]) for layer in deltas]).amax(0)
        return EditedRun(activations, deltas, tuple(map(tuple, changes)), tuple(ratios.tolist()))

    @torch.no_grad()
    def add(self, tokens: Tensor, deltas: Mapping[str, Tensor], layers: Sequence[str]) -> dict[str, Tensor]:
        """Activations at `layers` when `deltas {layer: [batch, tokens, d_in]}` are added on the way.

        tokens: the unedited activations at the lowest of those layers, `[1, tokens, d_in]`.
        """
        return add_deltas(self.backbone, tokens, deltas, layers)

    def controls(self, run: EditedRun, seed: int) -> dict[str, dict[str, Tensor]]:
        """What each control adds in place of the edits of a run, `{control: {layer: [edits, tokens, d_in]}}`.

        "control": a random direction of the same norms at the same tokens; "feature_control", where the frequencies of
        all edited layers are given: other features of equal firing rate, moved as far.
        """
        deltas = {"control": random_like(run.deltas, seed)}
        if set(run.deltas) <= set(self.frequencies):
            deltas["feature_control"] = feature_like(run.deltas, run.changes, self.saes, self.frequencies, seed)
        return deltas

    def beyond(self, changes: Sequence[Change]) -> tuple[Change, ...]:
        """The changes that raised a latent above its largest value in `maxima`."""
        bounded = [change for change in changes if change.layer in self.maxima]
        return tuple(change for change in bounded if change.after > self.maxima[change.layer][change.latent])

    def _apply(self, x: Tensor, step: Edit) -> list[Change]:
        """Edit one image's activations `[tokens, d_in]` in place; neutral ops touch nothing, so they are exact."""
        if step.layer not in self.saes or step.layer not in self.p999:
            raise InputError(f"an edit at {step.layer}", f"one of {', '.join(sorted(set(self.saes) & set(self.p999)))}")
        positions = scope_tokens(step.scope, len(x), self.backbone.layers[step.layer].n_prefix)
        ops = [op for op in step.ops if not op.neutral]
        if not ops:
            return []
        delta, before, after = edit_delta(x[positions], ops, self.saes[step.layer], self.p999[step.layer])
        x[positions] += delta
        largest = zip(ops, before.amax(0).tolist(), after.amax(0).tolist(), strict=True)
        return [Change(step.layer, op.latent, was, now) for op, was, now in largest]


def run_with_edits(
    backbone: Backbone,
    edits: Sequence[Edit],
    saes: Mapping[str, SparseAutoencoder],
    p999: Mapping[str, np.ndarray | Tensor],
    start: Tensor | Mapping[str, Tensor],
    layers: Sequence[str],
) -> EditedRun:
    """`Editor.run` in one call."""
    return Editor(backbone, saes, p999).run(edits, start, layers)


def _norm_ratios(delta: Tensor, x: Tensor) -> Tensor:
    """||delta|| / ||x|| over the touched tokens, per image: `[batch, tokens, d_in]` to `[batch]`; 0 if none is."""
    touched = (delta != 0).any(-1, keepdim=True)
    return (delta.norm(dim=(1, 2)) / (x * touched).norm(dim=(1, 2))).nan_to_num(0.0)


def first_layer(backbone: Backbone, edits: Sequence[Edit], start: Tensor | Mapping[str, Tensor]) -> tuple[str, Tensor]:
    """The lowest edited layer and the unedited activations there, `[1, tokens, d_in]`."""
    first = edited_layers(backbone, edits)[0]
    cached = backbone.run_pixels(start, [first]) if isinstance(start, Tensor) else start
    if first not in cached:
        raise InputError(f"cached activations of {sorted(cached)}", f"those of {first}, the lowest edited layer")
    if cached[first].ndim != 3 or len(cached[first]) != 1:
        raise InputError(f"activations of shape {tuple(cached[first].shape)}", "those of one image, [1, tokens, d_in]")
    return first, cached[first]


def edited_layers(backbone: Backbone, edits: Sequence[Edit]) -> tuple[str, ...]:
    """Layers that any of the edits changes, in model order; InputError when there are no edits."""
    if not edits:
        raise InputError("no edits", "at least one")
    return backbone.layer_names(list({step.layer for edit in edits for step in edit.steps()}))


@torch.no_grad()
def add_deltas(
    backbone: Backbone, tokens: Tensor, deltas: Mapping[str, Tensor], layers: Sequence[str]
) -> dict[str, Tensor]:
    """Activations at `layers` when `deltas {layer: [batch, tokens, d_in]}` are added on the way.

    tokens: the unedited activations at the lowest of those layers, `[1, tokens, d_in]`.
    """
    edited = backbone.layer_names(list(deltas))
    return replay(backbone, edited[0], tokens, edited, lambda layer, tokens: tokens + deltas[layer], layers)


def replay(
    backbone: Backbone,
    first: str,
    tokens: Tensor,
    edited: Sequence[str],
    change: Callable[[str, Tensor], Tensor],
    layers: Sequence[str],
) -> dict[str, Tensor]:
    """Run on from `tokens` at layer `first`, passing the activations of every `edited` layer through `change`."""
    order = list(backbone.layers)
    wanted = backbone.layer_names(layers)
    reached, tokens = first, change(first, tokens)
    activations = {first: tokens}
    for layer in sorted({*edited, *wanted} - {first}, key=order.index):
        tokens = backbone.run_from(reached, tokens, [layer])[layer]
        reached, activations[layer] = layer, change(layer, tokens) if layer in edited else tokens
        tokens = activations[layer]
    return {layer: activations[layer] for layer in wanted}

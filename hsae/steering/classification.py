"""What an edit of latents does to the classes that a linear probe reads at the end of the backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import Backbone, Token
from hsae.errors import InputError
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.probes import LinearProbe
from hsae.sae.model import SparseAutoencoder
from hsae.steering.edits import Edit
from hsae.steering.splice import Change, add_deltas, edited_layers, first_layer, run_with_edits


@dataclass(frozen=True, eq=False)
class SteeringResult:
    """A classifier's answer to one image before and after an edit; arrays are float32 `[n_classes]`."""

    classes: tuple[str, ...]
    """WordNet ids, in the order of the arrays."""
    logits_before: np.ndarray
    logits_after: np.ndarray
    probabilities_before: np.ndarray
    """Sum to 1, as do those after."""
    probabilities_after: np.ndarray
    changes: tuple[Change, ...]
    """Each edited latent before and after."""
    delta_norm_ratio: float
    """||x' - x|| / ||x|| over the touched tokens; the larger, the less the answer means."""
    off_distribution: tuple[Change, ...]
    """The changes that drove a latent beyond the largest value ever seen."""
    reaches_classifier: bool
    """False when the edit touches only tokens that the classifier cannot see any more."""
    logits_control: np.ndarray | None = None
    """After random directions of the same norms were added at the same tokens instead."""
    probabilities_control: np.ndarray | None = None

    def mass_changes(self, taxonomy: Taxonomy, threshold: float = 0.01) -> dict[str, float]:
        """Change of probability under each node, sum over its classes of p' - p, largest first; |change| > threshold.

        The nodes are those of `taxonomy`, in [-1, 1] each; LabelError when it lacks one of the classes.
        """
        gained = self.probabilities_after.astype(float) - self.probabilities_before
        mass = taxonomy.members[:, taxonomy.columns(self.classes)] @ gained
        order = np.argsort(-np.abs(mass), kind="stable")
        return {taxonomy.nodes[i]: float(mass[i]) for i in order if abs(mass[i]) > threshold}


def steer(
    backbone: Backbone,
    edit: Edit,
    saes: Mapping[str, SparseAutoencoder],
    refs: Mapping[str, np.ndarray | Tensor],
    start: Tensor | Mapping[str, Tensor],
    probe: LinearProbe,
    classes: Sequence[str],
    *,
    layer: str | None = None,
    token: Token = "cls",
    maxima: Mapping[str, np.ndarray | Tensor] | None = None,
    control_seed: int | None = None,
) -> SteeringResult:
    """Class probabilities of one image with and without an edit; only the layers after the edit are run.

    saes, refs, start: as for `run_with_edits`; cached activations that hold `layer` spare the unedited pass.
    probe, classes: the classifier at `layer` (default: the last) on its `token`, cls or mean. InputError when `layer`
    comes before an edit.
    maxima: per layer the largest value of each latent ever seen `[d_sae]`. control_seed: also run the random control.
    """
    layer = _classifier_layer(backbone, edit, layer)
    if len(classes) != probe.W.shape[1]:
        raise InputError(f"{len(classes)} classes", f"one per output of the probe, {probe.W.shape[1]}")
    first, tokens = first_layer(backbone, [edit], start)
    cached = {first: tokens} if isinstance(start, Tensor) else start
    run = run_with_edits(backbone, [edit], saes, refs, cached, [layer])
    answer = partial(_answer, backbone, probe, layer, token)
    logits_control, probabilities_control = None, None
    if control_seed is not None:
        random = add_deltas(backbone, tokens, random_like(run.deltas, control_seed), [layer])
        logits_control, probabilities_control = answer(random[layer])
    logits_before, probabilities_before = answer(_unedited(backbone, first, cached, layer))
    logits_after, probabilities_after = answer(run.activations[layer])
    return SteeringResult(
        classes=tuple(classes),
        logits_before=logits_before,
        logits_after=logits_after,
        probabilities_before=probabilities_before,
        probabilities_after=probabilities_after,
        changes=run.changes[0],
        delta_norm_ratio=run.delta_norm_ratios[0],
        off_distribution=_beyond(run.changes[0], maxima or {}),
        reaches_classifier=reaches(edit, layer, token),
        logits_control=logits_control,
        probabilities_control=probabilities_control,
    )


def reaches(edit: Edit, layer: str, token: Token) -> bool:
    """Whether an edit can change `token` as read at `layer`: patches edited there no longer reach the class token."""
    return any(
        step.layer != layer or step.scope == "all" or (step.scope == "cls") == (token == "cls") for step in edit.steps()
    )


def random_like(deltas: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """One random direction per layer, with each token's own norm: the size of an edit without its meaning."""
    generator = torch.Generator().manual_seed(seed)
    directions = {layer: torch.randn(delta.shape[-1], generator=generator).to(delta) for layer, delta in deltas.items()}
    return {
        layer: delta.norm(dim=-1, keepdim=True) * directions[layer] / directions[layer].norm()
        for layer, delta in deltas.items()
    }


def _unedited(backbone: Backbone, first: str, cached: Mapping[str, Tensor], layer: str) -> Tensor:
    """Activations at the classifier's layer without any edit, `[1, tokens, d_in]`."""
    with torch.no_grad():
        return cached[layer] if layer in cached else backbone.run_from(first, cached[first], [layer])[layer]


def _beyond(changes: Sequence[Change], maxima: Mapping[str, np.ndarray | Tensor]) -> tuple[Change, ...]:
    return tuple(
        change for change in changes if change.layer in maxima and change.after > maxima[change.layer][change.latent]
    )


def _answer(
    backbone: Backbone, probe: LinearProbe, layer: str, token: Token, activations: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and probabilities `[n_classes]` for activations `[1, tokens, d_in]`."""
    with torch.no_grad():
        logits = probe.logits(backbone.select_token(activations, layer, token)[0, 0]).float().cpu()
    return logits.numpy(), logits.softmax(-1).numpy()


def _classifier_layer(backbone: Backbone, edit: Edit, layer: str | None) -> str:
    """The layer the classes are read at, checked to be no earlier than any edited one."""
    order = list(backbone.layers)
    (layer,) = backbone.layer_names([layer or order[-1]])
    late = [name for name in edited_layers(backbone, [edit]) if order.index(name) > order.index(layer)]
    if late:
        raise InputError(f"an edit at {', '.join(late)}", f"{layer} or earlier, where the classes are read")
    return layer

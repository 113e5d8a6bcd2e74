"""What an edit of latents does to the classes that a linear probe reads at the end of the backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import Backbone, Token
from hsae.errors import InputError
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.probes import LinearProbe
from hsae.sae.model import SparseAutoencoder
from hsae.steering.controls import feature_like, random_like
from hsae.steering.edits import Edit
from hsae.steering.readout import Head, Reader, n_outputs, reader
from hsae.steering.splice import Change, EditedRun, add_deltas, edited_layers, first_layer, run_with_edits

Answer = tuple[np.ndarray, np.ndarray]
"""Logits and probabilities, float32 `[n_classes]` each."""


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
    logits_feature_control: np.ndarray | None = None
    """After other features of equal firing rate were moved there instead, by the same norms."""
    probabilities_feature_control: np.ndarray | None = None

    @property
    def logit_changes(self) -> np.ndarray:
        """Signed, float32 `[n_classes]`; unlike changes of probability they need not sum to 0."""
        return self.logits_after - self.logits_before

    @property
    def probability_changes(self) -> np.ndarray:
        """Signed, in [-1, 1], float32 `[n_classes]`."""
        return self.probabilities_after - self.probabilities_before

    def mass_changes(self, taxonomy: Taxonomy, threshold: float = 0.01) -> dict[str, float]:
        """Change of probability under each node, sum over its classes of p' - p, largest first; |change| > threshold.

        The nodes are those of `taxonomy`, in [-1, 1] each; LabelError when it lacks one of the classes.
        """
        gained = self.probabilities_after.astype(float) - self.probabilities_before
        mass = taxonomy.members[:, taxonomy.columns(self.classes)] @ gained
        order = np.argsort(-np.abs(mass), kind="stable")
        return {taxonomy.nodes[i]: float(mass[i]) for i in order if abs(mass[i]) > threshold}


def steer(backbone: Backbone, edit: Edit, *arguments: Any, **options: Any) -> SteeringResult:
    """`steer_all` of a single edit."""
    return steer_all(backbone, [edit], *arguments, **options)[0]


def steer_all(
    backbone: Backbone,
    edits: Sequence[Edit],
    saes: Mapping[str, SparseAutoencoder],
    refs: Mapping[str, np.ndarray | Tensor],
    start: Tensor | Mapping[str, Tensor],
    classifier: LinearProbe | Head,
    classes: Sequence[str],
    *,
    layer: str | None = None,
    token: Token = "cls",
    maxima: Mapping[str, np.ndarray | Tensor] | None = None,
    control_seed: int | None = None,
    frequencies: Mapping[str, np.ndarray] | None = None,
) -> tuple[SteeringResult, ...]:
    """Class probabilities of one image without and with each of several alternative edits, in one batch.

    Only the layers after the first edited one are run. saes, refs, start: as for `run_with_edits`; cached activations
    that hold `layer` spare the unedited pass.
    classifier, classes: a probe of the `token` (cls or mean) at `layer` (default: the last), or the model's own head,
    which reads all tokens of the last layer. InputError when `layer` comes before an edit.
    maxima: per layer the largest value of each latent ever seen `[d_sae]`. control_seed: also run the random control
    and, where `frequencies` (per layer the firing rates `[d_sae]`) are given, the control by other features.
    """
    layer = _classifier_layer(backbone, edits, layer)
    if len(classes) != n_outputs(classifier):
        raise InputError(f"{len(classes)} classes", f"one per output of the classifier, {n_outputs(classifier)}")
    first, tokens = first_layer(backbone, edits, start)
    cached = {first: tokens} if isinstance(start, Tensor) else start
    run = run_with_edits(backbone, edits, saes, refs, cached, [layer])
    answers = partial(_answers, reader(backbone, classifier, layer, token))
    (before,) = answers(_unedited(backbone, first, cached, layer))
    after = {"after": answers(run.activations[layer])}
    for name, deltas in _controls(run, saes, control_seed, frequencies).items():
        after[name] = answers(add_deltas(backbone, tokens, deltas, [layer])[layer])
    results: list[SteeringResult] = []
    for row, edit in enumerate(edits):
        # Rows of a batch may be rounded differently, and an edit that changes nothing has to change nothing.
        own = {name: found[row] if run.touches(row) else before for name, found in after.items()}
        if isinstance(classifier, LinearProbe):
            seen = reaches(edit, layer, token)
        else:  # only the head itself knows what it reads
            seen = own["after"] is before or bool((own["after"][0] != before[0]).any())
        results.append(_result(run, row, {"before": before} | own, classes, maxima or {}, seen))
    return tuple(results)


def _result(
    run: EditedRun,
    row: int,
    answers: Mapping[str, Answer],
    classes: Sequence[str],
    maxima: Mapping[str, np.ndarray | Tensor],
    seen: bool,
) -> SteeringResult:
    """What became of the edit in one row of the batch."""
    return SteeringResult(
        classes=tuple(classes),
        **_named(answers),
        changes=run.changes[row],
        delta_norm_ratio=run.delta_norm_ratios[row],
        off_distribution=_beyond(run.changes[row], maxima),
        reaches_classifier=seen,
    )


def _controls(
    run: EditedRun,
    saes: Mapping[str, SparseAutoencoder],
    seed: int | None,
    frequencies: Mapping[str, np.ndarray] | None,
) -> dict[str, dict[str, Tensor]]:
    """What each control adds instead, `{control: {layer: [edits, tokens, d_in]}}`."""
    if seed is None:
        return {}
    found = {"control": random_like(run.deltas, seed)}
    if frequencies is not None:
        found["feature_control"] = feature_like(run.deltas, run.changes, saes, frequencies, seed)
    return found


def _named(answers: Mapping[str, Answer]) -> dict[str, np.ndarray]:
    """`{"logits_before": ..., "probabilities_before": ...}` for every name."""
    parts = ("logits", "probabilities")
    return {
        f"{part}_{name}": value for name, found in answers.items() for part, value in zip(parts, found, strict=True)
    }


def reaches(edit: Edit, layer: str, token: Token) -> bool:
    """Whether an edit can change `token` as read at `layer`: patches edited there no longer reach the class token."""
    return any(
        step.layer != layer or step.scope == "all" or (step.scope == "cls") == (token == "cls") for step in edit.steps()
    )


def _unedited(backbone: Backbone, first: str, cached: Mapping[str, Tensor], layer: str) -> Tensor:
    """Activations at the classifier's layer without any edit, `[1, tokens, d_in]`."""
    with torch.no_grad():
        return cached[layer] if layer in cached else backbone.run_from(first, cached[first], [layer])[layer]


def _beyond(changes: Sequence[Change], maxima: Mapping[str, np.ndarray | Tensor]) -> tuple[Change, ...]:
    return tuple(
        change for change in changes if change.layer in maxima and change.after > maxima[change.layer][change.latent]
    )


def _answers(read: Reader, activations: Tensor) -> list[Answer]:
    """Logits and probabilities, both `[n_classes]`, for each of activations `[batch, tokens, d_in]`."""
    with torch.no_grad():
        logits = read(activations).float().cpu()
    return list(zip(logits.numpy(), logits.softmax(-1).numpy(), strict=True))


def _classifier_layer(backbone: Backbone, edits: Sequence[Edit], layer: str | None) -> str:
    """The layer the classes are read at, checked to be no earlier than any edited one."""
    order = list(backbone.layers)
    (layer,) = backbone.layer_names([layer or order[-1]])
    late = [name for name in edited_layers(backbone, edits) if order.index(name) > order.index(layer)]
    if late:
        raise InputError(f"an edit at {', '.join(late)}", f"{layer} or earlier, where the classes are read")
    return layer

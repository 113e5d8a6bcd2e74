"""Effect of an edit of latents on the classes that a classifier reads at the end of the backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsae.errors import InputError
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.probes import LinearProbe
from hsae.steering.deltas import Change
from hsae.steering.editor import EditedRun, Editor, edited_layers, first_layer
from hsae.steering.edits import Edit
from hsae.steering.readout import Answer, Readout


@dataclass(frozen=True, eq=False)
class SteeringResult:
    """A classifier's output for one image before and after an edit; arrays are float32 `[n_classes]`."""

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
    """||x' - x|| / ||x|| over the touched tokens; the larger, the less reliable the result."""
    off_distribution: tuple[Change, ...]
    """The changes that raised a latent above its largest value on the data set."""
    reaches_classifier: bool
    """False when the edit touches only tokens that the classifier does not read."""
    logits_control: np.ndarray | None = None
    """After random directions of the same norms were added at the same tokens instead."""
    probabilities_control: np.ndarray | None = None
    logits_feature_control: np.ndarray | None = None
    """After other features of equal firing rate were moved there instead, by the same norms."""
    probabilities_feature_control: np.ndarray | None = None

    @property
    def silent(self) -> tuple[Change, ...]:
        """The changes of latents that fire at none of the touched tokens; turning such a one off does nothing."""
        return tuple(change for change in self.changes if change.silent)

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


def steer(
    editor: Editor,
    edit: Edit,
    start: Tensor | Mapping[str, Tensor],
    readout: Readout,
    control_seed: int | None = None,
) -> SteeringResult:
    """`steer_all` of a single edit."""
    return steer_all(editor, [edit], start, readout, control_seed)[0]


def steer_all(
    editor: Editor,
    edits: Sequence[Edit],
    start: Tensor | Mapping[str, Tensor],
    readout: Readout,
    control_seed: int | None = None,
) -> tuple[SteeringResult, ...]:
    """Class probabilities of one image without and with each of several alternative edits, in one batch.

    Only the layers after the first edited one are run. start: as for `Editor.run`; cached activations that hold the
    readout's layer spare the unedited pass. InputError when that layer comes before an edit. control_seed: also run the
    editor's controls.
    """
    _check_order(editor, edits, readout.layer)
    first, tokens = first_layer(editor.backbone, edits, start)
    cached = {first: tokens} if isinstance(start, Tensor) else start
    (before,) = readout.answers(_run_unedited(editor, first, cached, readout.layer))
    run, pushed = _run_pushed(editor, edits, cached, readout.layer, control_seed)
    after = {name: readout.answers(x) for name, x in pushed.items()}
    results: list[SteeringResult] = []
    for row, edit in enumerate(edits):
        # Rows of a batch may be rounded differently, but a neutral edit must give the unedited output exactly.
        answers = {name: rows[row] if run.touches(row) else before for name, rows in after.items()}
        results.append(
            SteeringResult(
                classes=readout.classes,
                **_name_fields({"before": before, **answers}),
                changes=run.changes[row],
                delta_norm_ratio=run.delta_norm_ratios[row],
                off_distribution=editor.beyond(run.changes[row]),
                reaches_classifier=_reaches_classifier(readout, edit, before, answers["after"]),
            )
        )
    return tuple(results)


def _run_pushed(
    editor: Editor, edits: Sequence[Edit], cached: Mapping[str, Tensor], layer: str, control_seed: int | None
) -> tuple[EditedRun, dict[str, Tensor]]:
    """The run of the edits, and activations at a later layer "after" them and after each control.

    Edits of one layer are known before anything is run: then one batch has them and all controls.
    """
    edited = edited_layers(editor.backbone, edits)
    alone = len(edited) == 1
    run = editor.run(edits, cached, edited if alone else [layer])
    deltas = {"after": run.deltas} if alone else {}
    if control_seed is not None:
        deltas |= editor.controls(run, control_seed)
    pushed = {} if alone else {"after": run.activations[layer]}
    if deltas:
        added = {name: torch.cat([delta[name] for delta in deltas.values()]) for name in edited}
        x = editor.add(cached[edited[0]], added, [layer])[layer]
        pushed |= dict(zip(deltas, x.split(len(edits)), strict=True))
    return run, pushed


def _reaches_classifier(readout: Readout, edit: Edit, before: Answer, after: Answer) -> bool:
    """Whether the edit can reach the classifier: by the tokens a probe reads, by the change of a head's output."""
    if isinstance(readout.classifier, LinearProbe):
        return readout.reached_by(edit)
    return after is before or bool((after[0] != before[0]).any())


def _name_fields(answers: Mapping[str, Answer]) -> dict[str, Any]:
    """`{"logits_before": ..., "probabilities_before": ...}` for every name."""
    parts = ("logits", "probabilities")
    return {
        f"{part}_{name}": value for name, answer in answers.items() for part, value in zip(parts, answer, strict=True)
    }


def _run_unedited(editor: Editor, first: str, cached: Mapping[str, Tensor], layer: str) -> Tensor:
    """Activations at the classifier's layer without any edit, `[1, tokens, d_in]`."""
    with torch.no_grad():
        return cached[layer] if layer in cached else editor.backbone.run_from(first, cached[first], [layer])[layer]


def _check_order(editor: Editor, edits: Sequence[Edit], layer: str) -> None:
    """InputError for an edit after the layer where the classes are read."""
    order = list(editor.backbone.layers)
    late = [name for name in edited_layers(editor.backbone, edits) if order.index(name) > order.index(layer)]
    if late:
        raise InputError(f"an edit at {', '.join(late)}", f"{layer} or earlier, where the classes are read")

"""One image under one artifact: `set_image` pays for the forward pass once, every question after that is cheap."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
import torch

from hsae.artifacts.documents.segmentation import read_segmentation
from hsae.artifacts.documents.starter import read_starter
from hsae.errors import InputError
from hsae.report.shown_names import labels
from hsae.session.concepts import ConceptSession
from hsae.steering.classification import SteeringResult, steer_all
from hsae.steering.downstream import latent_changes, later_layers
from hsae.steering.editor import Editor
from hsae.steering.edits import Edit
from hsae.steering.nearest import nearest_rows, starter_bank
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.maps import Segmentation, segment
from hsae.steering.turning import Moved, Turn, node_direction, turning_ops


class Session(ConceptSession):
    """An artifact with its backbone, and at most one image; beside it, if given, an artifact of the patches.

    Sessions that share an artifact and a backbone (`like`) cost only their image's activations; a session itself is
    for one user at a time.
    """

    def steer(
        self, edit: Edit, control_seed: int | None = None, classifier: Literal["probe", "model"] = "probe"
    ) -> SteeringResult:
        """Class probabilities with and without an edit of latents.

        control_seed: also push by the same length in a random direction, and along other features of equal firing rate.
        classifier: the artifact's probe of its last layer, or the model's own head, with its own `classes`.
        InputError for an edit of another version of the artifact, and for a model without a head.
        """
        return self.steer_all([edit], control_seed, classifier)[0]

    def steer_all(
        self,
        edits: Sequence[Edit],
        control_seed: int | None = None,
        classifier: Literal["probe", "model"] = "probe",
    ) -> tuple[SteeringResult, ...]:
        """`steer` of several alternative edits, in one batch."""
        return steer_all(self._editor(edits), edits, self._activations, self._readout(classifier), control_seed)

    def turn(self, layer: str, turn: Turn, amount: float) -> Edit:
        """The edit at a layer that turns the image towards a WordNet node, away from one, or both (`steering.turning`).

        amount: above 0, in units of each latent's p999. The edit has no ops where no latent would help. LabelError for
        a node above none of the classes, InputError for one above all of them.
        """
        sae, probe = self.artifact.sae(layer), self._main.artifact.probe(layer)
        p999 = torch.tensor(self.artifact.latents(layer)["p999"].to_numpy(float)).float().nan_to_num()
        with torch.no_grad():
            speaks = {node: sae.W_dec @ node_direction(probe, self._members(node)) for node in turn.nodes}
            ops = turning_ops(turn, speaks, sae.encode(self._token(layer)), p999, amount)
        return Edit(layer, ops, "cls" if self.artifact.token == "cls" else "patches")

    def moved(self, node: str, result: SteeringResult) -> Moved:
        """What an edit, steered with its controls and read by the probe, did to a WordNet node's probability."""
        return Moved.of(result, self._members(node))

    def downstream(self, edit: Edit, top: int = 10) -> pd.DataFrame:
        """The latents of later layers that an edit moves most, in units of their p999.

        Columns: layer, latent, label, before, after (in units of the activations), change (after - before, of p999).
        """
        editor = self._editor([edit], later_layers(self.backbone, edit, self.artifact.layers))
        changes = latent_changes(editor, edit, self._activations, token=self.artifact.token, top=top)
        tables = {layer: self.artifact.latents(layer) for layer in editor.saes}
        said = [labels(tables[c.layer].iloc[[c.latent]]).iloc[0] for c in changes]
        rows = [(c.layer, c.latent, label, c.before, c.after) for c, label in zip(changes, said, strict=True)]
        frame = pd.DataFrame(rows, columns=["layer", "latent", "label", "before", "after"])
        units = np.array([tables[c.layer]["p999"].iloc[c.latent] for c in changes], dtype=float)
        return frame.assign(change=(frame["after"] - frame["before"]) / units)

    def nearest(self, edit: Edit | None = None, top: int = 5) -> pd.DataFrame:
        """The starter photographs most like the image at the last layer, by cosine, before and after an edit.

        Columns: before, before_cosine, after, after_cosine; keys of photographs, the most similar first. Where the
        artifact has no document "starter", the first call runs the backbone over all of them.
        """
        artifact, token = self._main.artifact, self.class_token
        last = artifact.layers[-1]
        bank = starter_bank(self.backbone, last, token, read_starter(artifact.document("starter")))
        before = after = self.activations(last)
        if edit is not None:
            run = self._editor([edit]).run([edit], self._activations, [last])
            after = run.activations[last] if run.touches(0) else before
        neighbours = [bank.nearest(self.backbone.select_token(x, last, token)[0, 0], top) for x in (before, after)]
        return pd.DataFrame(nearest_rows(*neighbours))

    def segment(self, edit: Edit, head: PatchHead | None = None, control_seed: int | None = None) -> Segmentation:
        """The classes that a patch head assigns to the crop before and after an edit, usually of some patches.

        head: any linear head for the artifact's last layer (`read_head`); by default its own, for patches the one in
        their artifact if it has any; InputError where there is none. control_seed: also add a random direction of the
        same norm at the same patches.
        """
        own = head is None and "segmentation" in self.artifact.documents
        reader, editor = self if own else self._main, self._editor([edit])
        last = reader.artifact.layers[-1]
        return segment(editor, edit, self._activations, head or reader.patch_head, last, control_seed)

    @cached_property
    def patch_head(self) -> PatchHead:
        """The artifact's own head for coarse kinds of things, from its document "segmentation"."""
        head = read_segmentation(self.artifact.document("segmentation"))
        if head is None:
            do = "Make one with python -m hsae segmentation ARTIFACT, or give a head of your own."
            raise InputError(f"{self.artifact.id} has no patch head", "the document segmentation", do)
        return head

    def signed(self, edit: Edit) -> Edit:
        """The edit with the artifact's id and version in it, to be saved or shared."""
        return edit.of(self.artifact.id, self.artifact.sha256)

    def _editor(self, edits: Sequence[Edit], also: Sequence[str] = ()) -> Editor:
        """The editor of the edited layers and those `also`; InputError for edits it cannot make."""
        self._check(edits)
        layers = dict.fromkeys([*(step.layer for edit in edits for step in edit.steps()), *also])
        tables = {layer: self.artifact.latents(layer) for layer in layers}

        def values(column: str) -> dict[str, np.ndarray]:
            return {layer: table[column].to_numpy(float) for layer, table in tables.items() if column in table}

        saes = {layer: self.artifact.sae(layer) for layer in layers}
        return Editor(self.backbone, saes, values("p999"), values("frequency"), values("max"))

    def _check(self, edits: Sequence[Edit]) -> None:
        """InputError without an image, for edits of other layers and for edits of another artifact."""
        self._require_image()
        steps = [step for edit in edits for step in edit.steps()]
        unknown = sorted({step.layer for step in steps} - set(self.artifact.layers))
        if unknown:
            raise InputError(f"an edit at {unknown}", f"layers among {', '.join(self.artifact.layers)}")
        for step in steps:
            if step.sha and self.artifact.sha256 and not self.artifact.sha256.startswith(step.sha):
                got = f"an edit of {step.artifact} in version {step.sha}"
                raise InputError(got, f"{self.artifact.id} in version {self.artifact.sha256}", "Load that version.")

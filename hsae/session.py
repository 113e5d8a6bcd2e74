"""One image under one artifact: `set_image` pays for the forward pass once, every question after that is cheap."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from hsae.artifacts.documents.segmentation import read_segmentation
from hsae.artifacts.documents.starter import read_starter
from hsae.backbones.base import Backbone, Token
from hsae.backbones.places import patch_numbers
from hsae.data.open_image import ImageSource
from hsae.errors import InputError
from hsae.faithfulness.curves import Curve, RemovalSetting, faithfulness_curve
from hsae.faithfulness.removal import Baseline
from hsae.hierarchy import Taxonomy, wordnet
from hsae.measures.wordnet.node_probabilities import node_probabilities
from hsae.relevancy import RelevancyMap, layer_maps, relevancy_map, target_maps
from hsae.relevancy.examples import Example, examples
from hsae.relevancy.latent_map import LatentAt, activation_map
from hsae.relevancy.targets import ClassTarget, NodeTarget, Place, latent_target
from hsae.report.active import active_table
from hsae.report.shown_names import labels
from hsae.steering.classification import SteeringResult, steer_all
from hsae.steering.contributions import Contributions, ReadNode, contributions
from hsae.steering.downstream import latent_changes, later_layers
from hsae.steering.editor import Editor
from hsae.steering.edits import Edit
from hsae.steering.nearest import nearest_rows, starter_bank
from hsae.steering.readout import Readout
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.maps import Segmentation, segment
from hsae.steering.turning import Moved, Turn, node_direction, turning_ops

if TYPE_CHECKING:
    from hsae.artifacts.artifact import Artifact


@dataclass(frozen=True, eq=False)
class Carried:
    """What carries a WordNet node in an image, in nats of its log-odds."""

    latents: pd.DataFrame
    """`Session.active_latents` with a column contribution, the largest in size first: all that are active."""
    parts: Contributions
    """With the error, the base and the total that they add up to."""


class Session:
    """An artifact with its backbone, and at most one image; beside it, if given, an artifact of the patches.

    Sessions that share an artifact and a backbone (`like`) cost only their image's activations; a session itself is
    for one user at a time.
    """

    def __init__(self, artifact: Artifact, backbone: Backbone | None = None, patches: Artifact | None = None) -> None:
        """Load the artifact's backbone unless it is given; ArtifactError when its weights are not the artifact's.

        patches: another artifact of that backbone, with SAEs of patches: `session.patches` answers by it, from the same
        forward pass. InputError unless the first one reads another token.
        """
        self.artifact = artifact
        if backbone is None:
            backbone = artifact.load_backbone()
        artifact.check_backbone(backbone)
        self.backbone = backbone
        self._image: Image.Image | None = None
        self._activations: dict[str, Tensor] = {}
        self._main = self
        self._patches = None if patches is None else self._beside(patches)

    def _beside(self, patches: Artifact) -> Session:
        """A session of the same image whose latents are those of patches, and whose classes are read as here."""
        if (self.artifact.token, patches.token) not in (("cls", "patch"), ("mean", "patch")):
            got = f"{self.artifact.id} of token {self.artifact.token} with {patches.id} of token {patches.token}"
            raise InputError(got, "one of cls or mean with one of patch")
        size = self.backbone.preprocessing.image_size
        if patches.backbone["image_size"] != size:
            raise InputError(
                f"{patches.id} at {patches.backbone['image_size']} pixels", f"{size}, as {self.artifact.id}"
            )
        other = Session(patches, self.backbone)
        other._main = self
        return other

    @property
    def patches(self) -> Session:
        """The session whose SAEs read patches: that of the artifact beside, or this one; InputError without any.

        It shows the same image, and reads classes, nearest photographs and segmentations where this one does.
        """
        found = self if self.artifact.token == "patch" else self._patches
        if found is None:
            got = f"{self.artifact.id}, whose SAEs read the token {self.artifact.token}"
            raise InputError(got, "SAEs of patches", "Give the session an artifact of them: Session(..., patches=...).")
        return found

    def like(self) -> Session:
        """A new session without image that shares this one's artifacts and backbone."""
        if self._main is not self:
            return self._main.like().patches
        return Session(self.artifact, self.backbone, None if self._patches is None else self._patches.artifact)

    def set_image(self, image: ImageSource) -> Session:
        """Run the backbone once over an image and keep the activations of all layers of the artifact; the session.

        image: whatever `hsae.open_image` opens: a path, bytes, a file, a PIL image or an array.
        They stay as exact as they were computed, so that an edit of nothing changes nothing: `n_bytes`.
        """
        crop = self.backbone.preprocessing.crop(image)
        both = [session for session in (self._main, self._main._patches) if session is not None]
        layers = list(dict.fromkeys(layer for session in both for layer in session.artifact.layers))
        activations = self.backbone.run([crop], layers)
        for session in both:
            session._image, session._activations = crop, activations
        return self

    @property
    def n_bytes(self) -> int:
        """Memory the image takes: layers x tokens x d_in x bytes of a number, 1.2 MB for the starter artifact."""
        return sum(x.untyped_storage().nbytes() for x in self._activations.values())

    @property
    def crop(self) -> Image.Image:
        """The square of the image that the backbone sees."""
        return self._require_image()

    def activations(self, layer: str) -> Tensor:
        """Activations `[1, tokens, d_in]` of the image at a layer."""
        self._require_image()
        if layer not in self._activations:
            raise InputError(f"layer {layer!r}", f"one of {', '.join(self.artifact.layers)}")
        return self._activations[layer]

    @torch.no_grad()
    def active_latents(self, layer: str, top: int = 20, place: Iterable[tuple[int, int]] | None = None) -> pd.DataFrame:
        """The latents active in the image at a layer, strongest first, with their row of the artifact's table.

        Columns: latent, activation (in units of the activations), strength (activation / p999), said, chance, then the
        table's as they may be shown (`report.shown_names.as_shown`): where the name is refused the label is "unnamed".
        said: the latent's name is said of this image, since its pre-activation is at least node_threshold; never where
        the name is refused, nor where no threshold was measured. chance: that the name is true of this image, in
        [0, 1]. Latents that are silent and whose name is said all the same come last, with an activation of 0.
        For a patch SAE the activation and the pre-activation are the largest over the patches, or over those of
        `place`: (row, column) each, from the upper left.
        """
        x, sae = self._token(layer), self.artifact.sae(layer)
        if place is not None:
            x = x[list(self._numbers(layer, place))]
        pre = sae.pre_activation(x)
        values, highest = sae.activate(pre).amax(0).numpy(), pre.amax(0).numpy()
        return active_table(self.artifact.latents(layer), values, highest, top)

    def activation_map(self, layer: str, latent: int) -> RelevancyMap:
        """Where in the image a latent of patches fires, and how strongly: 0 at patches where it is silent."""
        self._require_patches()
        x = self.activations(layer)
        return activation_map(self._latent(layer, latent), x, self.backbone.pixels([self.crop]))

    def examples(self, layer: str, latent: int, top: int = 4) -> list[Example]:
        """The starter photographs on which a latent is strongest, the first one first, and where it fires in each.

        Needs no image. For patches each photograph costs one forward pass the first time that anybody asks for it.
        """
        at = self._latent(layer, latent)
        strongest = [(key, value) for key, value in self.artifact.top_images(layer)[latent]["starter"]]
        return list(examples(at, strongest[:top], self.artifact.layers))

    def latents(self, layer: str, top: int = 20) -> pd.DataFrame:
        """The former name of `active_latents`; `Artifact.latents` is the table of all latents."""
        warnings.warn("Session.latents is now Session.active_latents", DeprecationWarning, stacklevel=2)
        return self.active_latents(layer, top)

    @torch.no_grad()
    def classes(self, layer: str | None = None, top: int = 5) -> pd.DataFrame:
        """The probe's most likely classes for the image at a layer (default: the last): wnid, name, probability."""
        if layer is None and self._main is not self:
            return self._main.classes(None, top)
        layer = layer or self.artifact.layers[-1]
        logits = self.artifact.probe(layer).logits(self._token(layer).mean(0))
        probabilities = torch.softmax(logits, -1)
        values, indices = probabilities.topk(min(top, len(probabilities)))
        wnids = [self.artifact.classes[i] for i in indices.tolist()]
        return pd.DataFrame({"wnid": wnids, "name": [wordnet().name(w) for w in wnids], "probability": values.numpy()})

    @torch.no_grad()
    def node_probabilities(self, nodes: Sequence[str]) -> dict[str, dict[str, float]]:
        """How likely the image shows each WordNet node, by node and layer: calibrated probes, summed over its classes.

        LabelError for a node that is above none of the artifact's classes.
        """
        if self._main is not self:
            return self._main.node_probabilities(nodes)
        members = torch.tensor(self.taxonomy.members[[self.taxonomy.position(node) for node in nodes]])
        by_layer = {
            layer: node_probabilities(self.artifact.probe(layer).logits(self._token(layer).mean(0)), members).tolist()
            for layer in self.artifact.layers
        }
        return {node: {layer: values[at] for layer, values in by_layer.items()} for at, node in enumerate(nodes)}

    def concept_maps(self, node: str) -> dict[str, RelevancyMap]:
        """Which patches speak for a WordNet node, by layer: relevancy of the log-odds that the layer's probe gives it.

        One forward pass and a backward pass per layer. Errors as for `node_probabilities`; none for a node of all
        classes, which nothing speaks for or against: it has no maps.
        """
        if self._main is not self:
            return self._main.concept_maps(node)
        members = self._members(node)
        if members.all():
            return {}
        token, layers = self.class_token, self.artifact.layers
        targets = {
            layer: NodeTarget(
                self.artifact.probe(layer), members, token=token, n_prefix=self.backbone.layers[layer].n_prefix
            )
            for layer in layers
        }
        return layer_maps(self.backbone, self.crop, targets)

    def contributions(self, layer: str, wnid: str) -> Carried:
        """What carries a WordNet node: its log-odds at the last layer, split over the latents active at a layer.

        Exact at the last layer, of first order before it (`steering.contributions`). LabelError for a node above none
        of the classes, InputError for one above all of them.
        """
        node, sae = ReadNode(self._readout("probe"), self._members(wnid)), self.artifact.sae(layer)
        parts = contributions(node, sae, layer, self.artifact.token, self.activations(layer))
        active = self.active_latents(layer, top=sae.d_sae).query("activation > 0")
        active.insert(2, "contribution", parts.latents[active["latent"]])
        order = active["contribution"].abs().sort_values(ascending=False, kind="stable").index
        return Carried(active.loc[order].reset_index(drop=True), parts)

    def relevancy(
        self, layer: str, latent: int, method: str | None = None, place: Iterable[tuple[int, int]] | None = None
    ) -> RelevancyMap:
        """Which patches of the image a latent's value comes from; `relevancy.default_method` when none is named.

        place: patches (row, column) of a patch SAE, whose mean value is explained; without, its strongest patch's.
        """
        sae = self.artifact.sae(layer)
        token: Place = self.artifact.token if place is None else self._numbers(layer, place)
        return relevancy_map(self.backbone, sae, self.crop, layer, latent, method=method, token=token)

    def class_relevancy(self, wnid: str, layer: str | None = None, method: str | None = None) -> RelevancyMap:
        """Which patches the probe's logit of one class comes from, read at a layer (default: the last).

        InputError when the artifact does not have the class, or for a method that only latents have ("activation").
        """
        layer, classes = layer or self.artifact.layers[-1], self.artifact.classes
        if wnid not in classes:
            raise InputError(f"class {wnid!r:.40}", f"one of the {len(classes)} that {self.artifact.id} was probed for")
        n_prefix = self.backbone.layers[layer].n_prefix
        probe, index = self.artifact.probe(layer), classes.index(wnid)
        target = ClassTarget(probe, index, token=self.class_token, n_prefix=n_prefix)
        return target_maps(self.backbone, self.crop, layer, [target], method=method)[0]

    def faithfulness(self, layer: str, latent: int, method: str | None = None, baseline: Baseline = "blur") -> Curve:
        """How the latent falls as the patches that its map calls relevant are removed, against a random order."""
        map, pixels = self.relevancy(layer, latent, method), self.backbone.pixels([self.crop])
        target = latent_target(self.backbone, self.artifact.sae(layer), layer, latent, self.artifact.token)
        return faithfulness_curve(self.backbone, target, pixels, layer, map, RemovalSetting(baseline=baseline))

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

    def _members(self, node: str) -> Tensor:
        """Which of the classes are under a WordNet node, bool `[n_classes]`; LabelError when none is."""
        taxonomy = self._main.taxonomy
        return torch.tensor(taxonomy.members[taxonomy.position(node)])

    def _readout(self, name: Literal["probe", "model"]) -> Readout:
        """The classifier of that name, where it reads."""
        if name == "probe":
            artifact = self._main.artifact
            last = artifact.layers[-1]
            return Readout(self.backbone, artifact.probe(last), artifact.classes, last, self.class_token)
        head = self.backbone.classifier
        if head is None:
            got = f"{self.backbone.id} has no classifier of its own"
            raise InputError(got, "a model trained on classes", "Use the artifact's probe.")
        return Readout(self.backbone, head, head.classes, self.backbone.layer_names()[-1])

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

    @property
    def class_token(self) -> Token:
        """The token the probes read."""
        return "cls" if self._main.artifact.token == "cls" else "mean"

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """Closure of the artifact's classes."""
        return Taxonomy(self.artifact.classes)

    def _token(self, layer: str) -> Tensor:
        """The tokens the artifact's SAEs read, `[tokens, d_in]`."""
        return self.backbone.select_token(self.activations(layer), layer, self.artifact.token)[0]

    def _numbers(self, layer: str, place: Iterable[tuple[int, int]]) -> tuple[int, ...]:
        """Numbers of the patches of a place; InputError where the SAEs do not read patches."""
        self._require_patches()
        return patch_numbers(self.backbone, layer, place)

    def _latent(self, layer: str, latent: int) -> LatentAt:
        """A latent of the artifact; InputError when its layer has no such number."""
        sae = self.artifact.sae(layer)
        if not 0 <= latent < sae.d_sae:
            raise InputError(f"latent {latent}", f"a number from 0 to {sae.d_sae - 1}")
        return LatentAt(self.backbone, sae, layer, latent, self.artifact.token)

    def _require_patches(self) -> None:
        if self.artifact.token != "patch":
            got = f"patches of {self.artifact.id}, whose SAEs read the token {self.artifact.token}"
            raise InputError(got, "a session of patches", "Ask session.patches.")

    def _require_image(self) -> Image.Image:
        if self._image is None:
            raise InputError("no image", "an image set first", "Call session.set_image(image).")
        return self._image

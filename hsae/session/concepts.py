"""The concepts of an image: classes and WordNet nodes as the artifact's probes read them, where and through what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from hsae.errors import InputError
from hsae.faithfulness.curves import Curve
from hsae.faithfulness.removal import Baseline
from hsae.hierarchy import wordnet
from hsae.measures.wordnet.node_probabilities import node_probabilities
from hsae.relevancy import RelevancyMap, layer_maps, target_maps
from hsae.relevancy.targets import ClassTarget, NodeTarget
from hsae.session.latents import LatentSession
from hsae.steering.contributions import Contributions, ReadNode, contributions
from hsae.steering.readout import Readout

SURE = 0.7
"""So likely a concept must be to be said first: on photographs unlike its own the probe is surer than right."""


@dataclass(frozen=True, eq=False)
class Carried:
    """What carries a WordNet node in an image, in nats of its log-odds."""

    latents: pd.DataFrame
    """`Session.active_latents` with a column contribution, the largest in size first: all that are active."""
    parts: Contributions
    """With the error, the base and the total that they add up to."""


class ConceptSession(LatentSession):
    """Answers about what one image shows."""

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

    def guesses(self) -> list[str]:
        """The last layer's most likely class and, in rising order, up to six WordNet nodes above it where the classes
        branch, but for those above all of them."""
        if self._main is not self:
            return self._main.guesses()
        first, n = self.classes(top=1)["wnid"].iloc[0], len(self.artifact.classes)
        above = reversed(self.taxonomy.branches_above(first, last=6))
        return [first, *(node for node in above if self.taxonomy.leaf_count(node) < n)]

    def likely_concept(self) -> str:
        """What may be said of the image in one plain word: "dog" for a German shepherd.

        The first of the `guesses` that has such a word and that the last layer finds `SURE` likely; where it finds none
        so, the highest that has one.
        """
        if self._main is not self:
            return self._main.likely_concept()
        return self.once("likely concept", self._likely_concept)

    def _likely_concept(self) -> str:
        guesses, last = self.guesses(), self.artifact.layers[-1]
        plain = [node for node in guesses if wordnet().name(node).isalpha() and wordnet().name(node).islower()]
        chances = self.node_probabilities(plain or guesses[:1])
        return next((node for node, by_layer in chances.items() if by_layer[last] >= SURE), [*chances][-1])

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
        if self._members(node).all():
            return {}
        targets = {layer: self._node_target(layer, node) for layer in self.artifact.layers}
        return self.once(("node", node), lambda: layer_maps(self.backbone, self.crop, targets))

    def concept_relevancy(self, layer: str, node: str, method: str | None = None) -> RelevancyMap:
        """Which patches speak for a WordNet node at one layer: of `concept_maps` that layer's, or by another method.

        LabelError for a node above none of the classes, InputError for one above all of them, and for a method that
        only latents have ("activation").
        """
        if self._main is not self:
            return self._main.concept_relevancy(layer, node, method)
        target, film = self._node_target(layer, node), self._answers.get(("node", node))
        if method is None and film:
            return film[layer]
        return self.once(
            ("node", node, layer, method),
            lambda: target_maps(self.backbone, self.crop, layer, [target], method=method)[0],
        )

    def concept_faithfulness(
        self, layer: str, node: str, method: str | None = None, baseline: Baseline = "blur"
    ) -> Curve:
        """How the log-odds of a WordNet node fall as the patches that its map calls relevant are removed."""
        if self._main is not self:
            return self._main.concept_faithfulness(layer, node, method, baseline)
        return self._removal(self._node_target(layer, node), self.concept_relevancy(layer, node, method), baseline)

    def _node_target(self, layer: str, node: str) -> NodeTarget:
        """The log-odds that a layer's probe gives a node."""
        probe = self.artifact.probe(layer)
        n_prefix = self.backbone.layers[layer].n_prefix
        return NodeTarget(probe, self._members(node), token=self.class_token, n_prefix=n_prefix)

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

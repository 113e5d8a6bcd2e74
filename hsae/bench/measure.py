"""Every number of one contestant on one layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.bench.contestant import Contestant, of_directions
from hsae.bench.images import ALL, BenchLayer
from hsae.hierarchy.lch import MISSING
from hsae.measures.directions import matched_latents, random_directions
from hsae.measures.plain import finite, median, significant
from hsae.measures.probes import LinearProbe, fit_probe
from hsae.measures.reconstruction import reconstruction
from hsae.measures.sparse_latents import image_latents
from hsae.measures.wordnet import LabelledScores, NameRule, choose_names, name_score, wnids
from hsae.measures.wordnet.names import ChosenNames, detect
from hsae.measures.wordnet.node_bootstrap import resampled_node_ap
from hsae.measures.wordnet.nodes import best_nodes
from hsae.measures.wordnet.purity import purity
from hsae.measures.wordnet.scoreboard import NodeChoice, choose_latents, node_ap, score_nodes, scored_nodes
from hsae.measures.wordnet.sparse_probing import KS, sparse_probing
from hsae.measures.wordnet.tree import EdgeRule, feature_tree
from hsae.measures.wordnet.tree_scores import edge_precision, path_recall
from hsae.sae.model import SparseAutoencoder

RULE = NameRule(permutations=2000)
CONTAINMENT = 0.5
Numbers = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Measured:
    """What is known of a contestant."""

    numbers: Numbers
    """By name; those of a part of the test images begin with the part, `sharp.node_ap`."""
    draws: dict[str, list[float]]
    """NodeAP on resampled test images, by part: the same images for all contestants."""
    names: list[str | None]
    """WordNet id of each named latent, None for the others, `[n]`."""


class Measurer:
    """Measures contestants on one layer; what they share is computed once."""

    def __init__(self, layer: BenchLayer) -> None:
        self.layer = layer
        self._probe: LinearProbe | None = None
        self._random: dict[int, tuple[torch.Tensor, NDArray[np.int64]]] = {}

    @torch.no_grad()
    def measure(self, contestant: Contestant) -> Measured:
        """All that applies to it."""
        layer = self.layer
        choice, confirm, test = layer.scores(contestant.score, contestant.n)
        chosen = choose_latents(layer.taxonomy, choice)
        names = choose_names(layer.taxonomy, choice, confirm, RULE)
        numbers: Numbers = {"n": contestant.n}
        if contestant.sae is not None:
            numbers |= self._reconstruction(contestant.sae) | self._by_latents(contestant)
        draws = {}
        for part, rows in layer.images.parts.items():
            seen = LabelledScores(test.scores[rows], test.labels[rows])
            found = score_nodes(chosen, seen) | name_numbers(names, seen)
            numbers |= found if part == ALL else {f"{part}.{name}": value for name, value in found.items()}
            pairs = chosen.ranking.subset(scored_nodes(chosen, seen))
            draws[part] = [float(f"{value:.5g}") for value in resampled_node_ap(pairs, seen)]
        numbers |= probing_numbers(chosen, test)
        numbers["purity"] = named_purity(names, test)
        if contestant.fire is not None:
            numbers |= self._tree(contestant, names)
        nodes = wnids(layer.taxonomy, np.where(names.named, names.node, MISSING))
        return Measured(significant(numbers, 5), draws, nodes.tolist())

    def _reconstruction(self, sae: SparseAutoencoder) -> Numbers:
        """FVU and L0 on the test images, silent latents on the choice images, and what probes read."""
        layer = self.layer
        x, labels = layer.test.flatten(0, 1), layer.test_labels.repeat_interleave(layer.test.shape[1])
        quality = reconstruction(sae, x, layer.x.mean(0))
        seen = layer.images.splits.choice.activations(layer.name).flatten(0, 1)
        fired = torch.stack([(sae.encode(part) > 0).any(0) for part in seen.split(1024)]).any(0)
        x_hat = torch.cat([sae(part)[0] for part in x.split(1024)])
        refitted = self._fit(sae)
        return {
            "fvu": quality.fvu,
            "l0": quality.l0,
            "dead": 1 - fired.float().mean().item(),
            "acc_x": self.probe.accuracy(x, labels),
            "acc_x_hat": refitted.accuracy(x_hat, labels),
            "acc_unchanged": self.probe.accuracy(x_hat, labels),
        }

    def _by_latents(self, contestant: Contestant) -> Numbers:
        """NodeAP where latents rank in place of pre-activations, and that of random directions at the same rates."""
        assert contestant.fire is not None
        splits, directions = self.layer.images.splits, random_directions(self.layer.x, contestant.n)
        own: list[LabelledScores] = []
        random: list[LabelledScores] = []
        for images in (splits.choice, splits.test):
            x = images.activations(self.layer.name)
            z = contestant.fire(x.flatten(0, 1))
            rates = np.asarray((z > 0).mean(axis=0)).ravel()
            matched = matched_latents(x.flatten(0, 1), directions, rates[rates > 0])
            for scores, latents in ((own, z), (random, matched)):
                dense = image_latents(latents, x.shape[1]).toarray().astype(np.float32)
                scores.append(LabelledScores(dense, images.labels))
        found = {"node_ap_latents": own, "node_ap_random_latents": random}
        return {
            name: node_ap(choose_latents(self.layer.taxonomy, choice), test) for name, (choice, test) in found.items()
        }

    @property
    def probe(self) -> LinearProbe:
        """Of the classes on the training activations."""
        self._probe = self._probe or self._fit(None)
        return self._probe

    def _fit(self, sae: SparseAutoencoder | None) -> LinearProbe:
        """A probe of x, or of the reconstruction x_hat; penalty and temperature are chosen on the choice images."""
        choice = self.layer.images.splits.choice
        x, held = self.layer.x, choice.tokens(self.layer.name)
        if sae is not None:
            x, held = (torch.cat([sae(part)[0] for part in whole.split(1024)]) for whole in (x, held))
        truth = torch.from_numpy(choice.labels)
        return fit_probe(x, self.layer.labels, len(self.layer.taxonomy.classes), choice=(held, truth))

    def _tree(self, contestant: Contestant, names: ChosenNames) -> Numbers:
        """Edges and paths against WordNet, on the test images; minus those of random directions at the same rates."""
        assert contestant.fire is not None
        x, tokens = self.layer.test.flatten(0, 1), self.layer.test.shape[1]
        z = contestant.fire(x)
        directions, node = self._random_nodes(contestant.n)
        rates = np.asarray((z > 0).mean(axis=0)).ravel()
        matched = matched_latents(x, directions, rates[rates > 0])
        own, random = (
            self._tree_scores(image_latents(part, tokens), nodes) for part, nodes in ((z, names.node), (matched, node))
        )
        return {
            name: value
            for key in own
            for name, value in {f"tree_{key}": own[key], f"tree_{key}_random": random[key]}.items()
        }

    def _tree_scores(self, z: csr_array, nodes: NDArray[np.int64]) -> Numbers:
        tree, taxonomy = feature_tree(z, EdgeRule(CONTAINMENT)), self.layer.taxonomy
        return {"precision": edge_precision(tree, nodes, taxonomy), "recall": path_recall(tree, nodes, taxonomy)}

    def _random_nodes(self, n: int) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """Random directions and the node that each tells best on the choice images."""
        if n not in self._random:
            directions = random_directions(self.layer.x, n)
            choice = self.layer.images.splits.choice.scores(self.layer.name, of_directions(directions).score, n)
            best = best_nodes(choice, self.layer.taxonomy.members[self.layer.nodes]).node
            self._random[n] = directions, np.where(best >= 0, self.layer.nodes[best], best)
        return self._random[n]


def name_numbers(names: ChosenNames, test: LabelledScores) -> Numbers:
    """How many latents are named, the median of their precision, and what their names tell."""
    named = np.flatnonzero(names.named)
    precision = detect(names.taxonomy, names.node[named], names.threshold[named], test, named).precision
    score = asdict(name_score(names, test))
    return {"n_named": len(named), "median_precision": median(precision)} | score


def named_purity(names: ChosenNames, test: LabelledScores) -> float | None:
    """Mean purity of the named latents."""
    named = np.flatnonzero(names.named)
    if not len(named):
        return None
    scores = LabelledScores(test.scores[:, named], test.labels)
    return float(purity(names.taxonomy, names.node[named], scores).mean())


def probing_numbers(chosen: NodeChoice, test: LabelledScores) -> Numbers:
    """Mean balanced accuracy of k-sparse probes over the nodes that the test images can score."""
    kept = scored_nodes(chosen, test)
    members = chosen.taxonomy.members[chosen.node[kept]]
    found = sparse_probing(members, chosen.choice, test).mean(axis=0)
    return {f"sparse_{k}": finite(float(value)) for k, value in zip(KS, found, strict=True)}

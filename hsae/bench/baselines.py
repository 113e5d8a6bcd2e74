"""Baselines and ceilings of an SAE: one row of BASELINES each, made of the training activations of a layer.

Baselines know no class; ceilings are told the classes of the training images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from hsae.bench.clusters import kmeans, ward
from hsae.bench.contestant import Contestant, of_directions
from hsae.bench.images import BenchLayer
from hsae.measures.directions import neuron_directions, principal_directions, random_directions
from hsae.measures.wordnet.names import detect
from hsae.measures.wordnet.node_probes import NodeProbes, fit_node_probes, node_mean_differences

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
"""Of ridge regression, tried on the choice images."""
Make = Callable[[BenchLayer, int, int], Contestant]


@dataclass(frozen=True)
class Baseline:
    """How a baseline is made of a layer, a number of directions and a seed."""

    make: Make
    sized: bool = False
    """There is one for every number of directions; the others have their own number."""
    seeded: bool = False


def _random(layer: BenchLayer, n: int, seed: int) -> Contestant:
    return of_directions(random_directions(layer.x, n, seed))


def _neurons(layer: BenchLayer, n: int, seed: int) -> Contestant:
    return of_directions(neuron_directions(layer.x.shape[1]))


def _axes(layer: BenchLayer, n: int, seed: int) -> Contestant:
    return of_directions(principal_directions(layer.x))


def _node_means(layer: BenchLayer, n: int, seed: int) -> Contestant:
    return of_directions(node_mean_differences(layer.x, layer.labels, _members(layer)))


def _probes(layer: BenchLayer, n: int, seed: int) -> Contestant:
    """With the penalty that is best in AP gain on the choice images, one for all nodes."""
    fitted = [fit_node_probes(layer.x, layer.labels, _members(layer), ridge) for ridge in PENALTIES]
    best = max(fitted, key=lambda probes: _own_gain(layer, probes))
    return Contestant(best.scores, len(layer.nodes))


def _members(layer: BenchLayer) -> Tensor:
    return torch.from_numpy(layer.taxonomy.members[layer.nodes])


def _own_gain(layer: BenchLayer, probes: NodeProbes) -> float:
    """Mean AP gain of each probe for its own node on the choice images."""
    choice = layer.images.splits.choice.scores(layer.name, probes.scores, len(layer.nodes))
    anywhere = np.zeros(len(layer.nodes), dtype=np.float32)
    return float(detect(layer.taxonomy, layer.nodes, anywhere, choice).ap_gain.mean())


BASELINES = {
    "random": Baseline(_random, sized=True, seeded=True),
    "neurons": Baseline(_neurons),
    "principal axes": Baseline(_axes),
    "k-means": Baseline(kmeans, sized=True, seeded=True),
    "k-means whitened": Baseline(partial(kmeans, whiten=0.25), sized=True, seeded=True),
    "Ward tree": Baseline(ward, sized=True, seeded=True),
    "node means": Baseline(_node_means),
    "probes": Baseline(_probes),
}
"""By name; `random` and `probes` are 0 and 1 of the recovery R."""

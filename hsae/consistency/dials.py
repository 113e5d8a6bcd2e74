"""Can a layer be steered? How often a concept dial brings a WordNet node into photographs of other things.

A dial pushes a few latents along what the layer's probe tells the node by (`hsae.steering.turning`), and the probe of
the model's last layer says what became of it. The last layer itself has no dial: there a push is what the probe reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from hsae.bench.images import BenchLayer
from hsae.bench.measure import Measurer
from hsae.consistency.models import Model, Pictures
from hsae.measures.activity import latent_activity
from hsae.measures.probes import LinearProbe
from hsae.measures.sparse_latents import sparse_latents
from hsae.measures.statistics import bootstrap_interval
from hsae.sae.model import SparseAutoencoder
from hsae.steering.classification import steer_all
from hsae.steering.editor import Editor
from hsae.steering.edits import Edit
from hsae.steering.readout import Readout
from hsae.steering.turning import AMOUNTS, Moved, Turn, node_direction, turning_ops

NODES, CHOICE, TEST = 10, 3, 5
"""Random nodes, the same for every model; photographs that choose a node's amount, and others that test it."""
Part = Literal["choice", "heldout"]


def dial_scores(model: Model, layer: str, sae: Callable[[], SparseAutoencoder]) -> dict[str, Any]:
    """How often dials of a layer hold; empty for the last layer, and where there are no photographs to push.

    sae: gives the layer's, and is asked where there are dials.
    steered: share in [0, 1] of photographs on which the node crosses 50 % and moves twice as far as by either control,
    mean over nodes, with its 95 % interval over nodes, steered_low and steered_high; steered_random: share on which a
    random direction of the same length takes it across 50 %; steered_n: photographs.
    """
    if model.pictures is None or layer == model.layers[-1]:
        return {}
    dials = Dials(model, model.pictures, layer, sae())
    found = [numbers for node in dials.nodes if (numbers := dials.test(node))]
    if not found:
        return {}
    rates = np.array([sum(one.brought for one in tested) / len(tested) for tested in found])
    low, high = bootstrap_interval(rates, np.random.default_rng(0))
    every = [one for tested in found for one in tested]
    shares = {"steered": float(rates.mean()), "steered_low": low, "steered_high": high}
    return shares | {"steered_random": float(np.mean([one.random > 0.5 for one in every])), "steered_n": len(every)}


@dataclass(frozen=True, eq=False)
class Dials:
    """What the dials of one layer share."""

    model: Model
    pictures: Pictures
    layer: str
    sae: SparseAutoencoder
    _seen: dict[tuple[Part, int], Mapping[str, Tensor]] = field(default_factory=dict)

    @property
    def nodes(self) -> list[int]:
        """Positions in the taxonomy of those that are dialled: of fewer than half of the classes."""
        members = self.model.images.taxonomy.members
        known = self._bench.nodes
        narrow = known[members[known].mean(1) < 0.5]
        return np.sort(np.random.default_rng(0).permutation(narrow)[:NODES]).tolist()

    def test(self, node: int) -> list[Moved]:
        """What the dial does with the amount that most photographs to choose on favour; empty for too few of either."""
        chosen = [self._pushed(node, seen, AMOUNTS) for seen in islice(self._photographs("choice", node), CHOICE)]
        if len(chosen) < CHOICE:
            return []
        best = np.argmax([sum(row[at].brought for row in chosen) for at in range(len(AMOUNTS))])  # the least of equals
        tests = [
            self._pushed(node, seen, AMOUNTS[best : best + 1])[0]
            for seen in islice(self._photographs("heldout", node), TEST)
        ]
        return tests if len(tests) == TEST else []

    def _photographs(self, part: Part, node: int) -> Iterator[Mapping[str, Tensor]]:
        """Activations of photographs of other things that are not taken for the node."""
        samples, members = self.pictures.samples[part], self.model.images.taxonomy.members[node]
        columns = self.model.images.taxonomy.columns(samples.classes)
        for row in np.random.default_rng(0).permutation(len(samples)).tolist():
            label = samples.labels[row]
            if label is None or members[columns[label]]:
                continue
            seen = self._activations(part, row)
            if self._chance(seen, node) < 0.5:
                yield seen

    def _activations(self, part: Part, row: int) -> Mapping[str, Tensor]:
        """At the layer and at the last one; kept, since most nodes are tried on the same photographs."""
        if (part, row) not in self._seen:
            with torch.no_grad():
                backbone = self.pictures.backbone
                pixels = backbone.pixels([self.pictures.samples[part].read(row).image])
                self._seen[part, row] = backbone.run_pixels(pixels, [self.layer, self._last])
        return self._seen[part, row]

    def _chance(self, seen: Mapping[str, Tensor], node: int) -> float:
        (answer,) = self._readout.answers(seen[self._last])
        return float(answer[1][self.model.images.taxonomy.members[node]].sum())

    def _pushed(self, node: int, seen: Mapping[str, Tensor], amounts: tuple[float, ...]) -> list[Moved]:
        members = torch.tensor(self.model.images.taxonomy.members[node])
        name = self.model.images.taxonomy.nodes[node]
        speaks = {name: self.sae.W_dec @ node_direction(self._probe, members)}
        z = self.sae.encode(self.pictures.backbone.select_token(seen[self.layer], self.layer, self.pictures.token)[0])
        scope: Literal["cls", "patches"] = "cls" if self.pictures.token == "cls" else "patches"
        edits = [
            Edit(self.layer, turning_ops(Turn(more=name), speaks, z, self._unit, amount), scope) for amount in amounts
        ]
        return [Moved.of(result, members) for result in steer_all(self._editor, edits, seen, self._readout, 0)]

    @property
    def _last(self) -> str:
        return self.model.layers[-1]

    @cached_property
    def _bench(self) -> BenchLayer:
        return BenchLayer(self.model.images, self.layer)

    @cached_property
    def _probe(self) -> LinearProbe:
        return Measurer(self._bench).probe

    @cached_property
    def _readout(self) -> Readout:
        probe = Measurer(BenchLayer(self.model.images, self._last)).probe
        classes = self.model.images.taxonomy.classes
        return Readout(self.pictures.backbone, probe, classes, self._last, self.pictures.token)

    @cached_property
    def _editor(self) -> Editor:
        activity = latent_activity(sparse_latents(self.sae, self._bench.x))
        statistics = ({self.layer: values} for values in (activity.p999, activity.frequency, activity.max))
        return Editor(self.pictures.backbone, {self.layer: self.sae}, *statistics)

    @cached_property
    def _unit(self) -> Tensor:
        return torch.as_tensor(self._editor.p999[self.layer]).float()

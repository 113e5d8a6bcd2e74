"""Find at which layer, and how far, features must be pushed for photographs to turn into something else.

For every concept: bring it into photographs of other things, take it out of its own; then pairs, from one concept to
another. A turn pushes a few features along what the layer's probe tells the concept by (hsae.steering.turning). Layer
and amount are chosen on some photographs, and the rate is measured on others: a turn holds on a photograph where the
concept crosses 50 % the right way and moves at least twice as far as by a random direction of the same length, and by
equally frequent features; of a pair, the concept that is brought decides.
The result becomes the artifact's document "steerable", from which the app takes its presets and where its dial opens.

Give photographs that no SAE was trained on. 50 concepts and 12 pairs take about 10 minutes on a
quiet core; broken off, it goes on with those that are missing.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.steerable import Found, read_steerable, resumed, write_found
from hsae.artifacts.extras import add_document, on_disk
from hsae.data.joined import join_samples
from hsae.data.samples import Samples, load_samples
from hsae.errors import ImageError, InputError
from hsae.hierarchy import Taxonomy, wordnet
from hsae.measures.plain import significant
from hsae.session import Session
from hsae.steering.turning import AMOUNTS, Moved, Turn, held

RELIABLE = 0.8
"""The rate from which on a turn is a preset, and is looked for among the starter photographs."""
WORDS = (
    "dog", "cat", "bird", "fish", "insect", "spider", "snake", "frog", "butterfly", "bee", "bear", "lion", "tiger",
    "elephant", "monkey", "horse", "cow", "sheep", "pig", "penguin", "goose", "car", "truck", "bus", "train", "boat",
    "airplane", "bicycle", "motorcycle", "chair", "table", "bottle", "cup", "clock", "lamp", "fruit", "lemon", "orange",
    "mushroom", "pizza", "building", "bridge", "church", "ball", "hat", "shoe", "guitar", "piano", "telephone",
    "camera", "umbrella", "flower", "animal", "vehicle", "furniture", "clothing",
)  # fmt: skip
"""What visitors know; those that an artifact has no classes for are left out."""


@dataclass(frozen=True)
class Rules:
    """How turns are chosen and measured; written beside the result."""

    data: str
    layers: tuple[str, ...]
    choice: int
    """Photographs by which layer and amount are chosen."""
    test: int
    """Others on which the rate is measured."""
    seed: int
    amounts: tuple[float, ...] = AMOUNTS


@dataclass(frozen=True, eq=False)
class Search:
    """Everything that the search of one turn after the other shares."""

    session: Session
    samples: Samples
    rules: Rules

    def find(self, turn: Turn) -> Found | None:
        """The best layer and amount of a turn with its rate; None where there are too few photographs to tell."""
        shown = self.photographs(turn)
        chosen = [self._tried(turn) for _ in islice(shown, self.rules.choice)]
        layer, amount = _best(chosen, self.rules)
        tested = [self._push(turn, layer, amount) for _ in islice(shown, self.rules.test)]
        if len(chosen) < self.rules.choice or len(tested) < self.rules.test:
            return None
        counts = [(*key, sum(one[key] for one in chosen), len(chosen)) for key in chosen[0]]
        moved = {node: _mean([one[node] for one in tested]) for node in turn.nodes}
        n_held = sum(held(turn, one) for one in tested)
        return Found(turn, layer, amount, n_held, len(tested), moved, tried=counts)

    def with_photo(self, found: Found) -> Found:
        """A reliable turn from one thing, with the first starter photograph on which it holds, if there is one."""
        if not found.turn.less or found.rate < RELIABLE:
            return found
        photos = Search(self.session, load_samples("starter:photos"), replace(self.rules, seed=0))
        keys = (
            key
            for key in photos.photographs(found.turn)
            if held(found.turn, photos._push(found.turn, found.layer, found.amount))
        )
        return replace(found, photo=next(keys, ""))

    def photographs(self, turn: Turn) -> Iterator[str]:
        """Set the session to one photograph after the other that a turn can be tried on; their keys.

        Those labelled with what is to be taken, or with anything but what is to be brought, and rightly seen as that.
        """
        order = np.random.default_rng(self.rules.seed).permutation(len(self.samples)).tolist()
        for row in order:
            label = self.samples.labels[row]
            above = wordnet().ancestors(self.samples.classes[label]) if label is not None else frozenset()
            if label is None or turn.more in above or (turn.less and turn.less not in above):
                continue
            try:
                self.session.set_image(self.samples.read(row).image)
            except ImageError:
                continue
            if self._fits(turn):
                yield self.samples.key(row)

    def _fits(self, turn: Turn) -> bool:
        last = self.session.artifact.layers[-1]
        seen = {node: chances[last] for node, chances in self.session.node_probabilities(turn.nodes).items()}
        return seen.get(turn.more, 0.0) < 0.5 < seen.get(turn.less, 1.0)

    def _tried(self, turn: Turn) -> dict[tuple[str, float], bool]:
        """Whether each layer and amount holds on the photograph that is set."""
        return {
            (layer, amount): held(turn, self._push(turn, layer, amount))
            for layer in self.rules.layers
            for amount in self.rules.amounts
        }

    def _push(self, turn: Turn, layer: str, amount: float) -> dict[str, Moved]:
        edit = self.session.turn(layer, turn, amount)
        result = self.session.steer(edit, control_seed=self.rules.seed)
        return {node: self.session.moved(node, result) for node in turn.nodes}


def run(options: argparse.Namespace) -> None:
    """Search one turn after the other, keep and print each."""
    session = Session(Artifact.load(options.artifact))
    artifact, folder = session.artifact, on_disk(session.artifact)
    if not artifact.classes:
        raise InputError(f"{artifact.id} without classes", "an artifact of labelled images: its probes read concepts")
    samples = join_samples([load_samples(name, split=options.split) for name in options.data])
    layers = tuple(options.layers or artifact.layers[-3:])
    unknown = set(layers) - set(artifact.layers)
    if unknown:
        raise InputError(f"layers {sorted(unknown)}", f"some of {', '.join(artifact.layers)}")
    data = ", ".join(Path(name).name for name in options.data)  # its folders are private
    search = Search(session, samples, Rules(data, layers, options.choice, options.test, options.seed))
    nodes = known_nodes(session.taxonomy, samples, options.choice + options.test, options.concepts or WORDS)
    document = resumed(artifact.document("steerable"), significant(asdict(search.rules), 6))
    single = [turn for node in nodes for turn in (Turn(more=node), Turn(less=node))]
    _search(search, single, document, folder)
    known = read_steerable(document, artifact.layers, session.taxonomy.nodes)
    _search(search, pairs(known, session.taxonomy, options.pairs), document, folder)


def _search(search: Search, turns: Sequence[Turn], document: dict[str, list[object]], folder: Path) -> None:
    """Add to the document, in the artifact too, what is found of those turns that it does not have."""
    nodes, layers = search.session.taxonomy.nodes, search.session.artifact.layers
    done = {found.turn for found in read_steerable(document, layers, nodes)}
    for turn in tqdm([turn for turn in turns if turn not in done], desc="turns"):
        found = search.find(turn)
        if found is not None:
            found = search.with_photo(found)
            document["turns"].append(significant(write_found(found), 4))
            add_document(folder, "steerable", document)
            tqdm.write(told(found))


def told(found: Found) -> str:
    """One line on a turn."""
    names = [f"{way} {wordnet().name(node)}" for way, node in asdict(found.turn).items() if node]
    means = "; ".join(
        f"{wordnet().name(node)} {m.before:.2f} -> {m.after:.2f} (random {m.random:.2f}, other {m.other:.2f})"
        for node, m in found.moved.items()
    )
    return f"{', '.join(names)}: {found.held} of {found.n} at {found.layer} by {found.amount:g}; {means}"


def known_nodes(taxonomy: Taxonomy, samples: Samples, enough: int, words: Iterable[str]) -> list[str]:
    """The nodes that these words (or WordNet ids) mean: of several the one with most classes.

    Only nodes of some of the classes, but not all, with `enough` labelled images under them.
    """
    images = Counter(
        node
        for label in samples.labels
        if label is not None
        for node in {samples.classes[label], *wordnet().ancestors(samples.classes[label])}
    )
    fit = {
        node for node in taxonomy.nodes if images[node] >= enough and taxonomy.leaf_count(node) < len(taxonomy.classes)
    }
    meant = [[node for node in (word, *wordnet().named(word)) if node in fit] for word in words]
    return list(dict.fromkeys(max(nodes, key=taxonomy.leaf_count) for nodes in meant if nodes))


def pairs(found: Sequence[Found], taxonomy: Taxonomy, n: int) -> list[Turn]:
    """At most `n` turns from one concept to the nearest in WordNet that can be brought and is not taken yet."""
    free = {one.turn.more for one in found if one.turn.more and not one.turn.less and one.rate >= RELIABLE}
    turns: list[Turn] = []
    for less in (one.turn.less for one in found if one.turn.less and not one.turn.more):
        own = set(taxonomy.classes_under(less))
        distances = {
            more: taxonomy.height(taxonomy.lch({*own, *taxonomy.classes_under(more)}) or taxonomy.root)
            for more in sorted(free)
            if not own & set(taxonomy.classes_under(more))
        }
        if distances and len(turns) < n:
            turns.append(Turn(min(distances, key=distances.__getitem__), less))
            free.remove(turns[-1].more)
    return turns


def _best(tried: Sequence[dict[tuple[str, float], bool]], rules: Rules) -> tuple[str, float]:
    """Layer and amount that hold most often; of equals the earliest layer, the bolder claim, and the least amount."""
    order = [(layer, amount) for layer in rules.layers for amount in rules.amounts]
    return max(order, key=lambda key: sum(one[key] for one in tried))


def _mean(moved: Sequence[Moved]) -> Moved:
    return Moved(*np.mean([[one.before, one.after, one.random, one.other] for one in moved], axis=0).tolist())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command can be told."""
    parser.add_argument("artifact", help="folder of an artifact whose images had labels")
    parser.add_argument(
        "--data", nargs="+", required=True, help="labelled photographs: folders, parquet files or a Hub data set"
    )
    parser.add_argument("--split", help="of the photographs, where they have splits")
    parser.add_argument("--layers", nargs="+", help="at which features are pushed (default: the last three)")
    parser.add_argument("--concepts", nargs="+", help="words or WordNet ids (default: some that visitors know)")
    parser.add_argument("--choice", type=int, default=5, help="photographs by which layer and amount are chosen")
    parser.add_argument("--test", type=int, default=10, help="other photographs, on which the rate is measured")
    parser.add_argument("--pairs", type=int, default=12, help="turns from one concept to another")
    parser.add_argument("--seed", type=int, default=0, help="of the order of photographs and of the controls")

"""Train and score a head that says what each patch shows, and switch off the features that carry what it says.

With --photographs its classes are those of labelled photographs, whose foregrounds the default backbone's own saliency
decoder finds; tests are held-out photographs and exact composites: starter cut-outs on natural backgrounds, one or two.
Without, they are coarse kinds, learned from starter cut-outs on blurred colours, of which every fourth is for tests.
Features are chosen on pictures of their own. The head and all numbers become the artifact's document "segmentation".
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.segmentation import write_segmentation
from hsae.artifacts.extras import add_document
from hsae.atomic import write_text
from hsae.backbones.base import Backbone
from hsae.steering.segmentation.carriers import Reading, class_carriers
from hsae.steering.segmentation.effect import Suppression, summary
from hsae.steering.segmentation.head import PatchHead, write_head
from hsae.steering.segmentation.observed import Observed
from hsae.steering.segmentation.scores import score_heads
from hsae.steering.segmentation.sets import Amounts, Sets, photograph_sets, starter_sets
from hsae.steering.segmentation.train import gather, train_head


@dataclass(frozen=True, eq=False)
class Heads:
    """Linear heads over patches of the same classes."""

    by_layer: dict[str, PatchHead]
    shuffled: PatchHead
    """The control at the layer that is read."""
    reads: str


def run(options: argparse.Namespace) -> None:
    """Train, score, store, print."""
    artifact = Artifact.load(options.artifact)
    backbone = artifact.load_backbone()
    layers, reads = options.layers or _default_layers(artifact), artifact.layers[-1]
    sets = _sets(backbone, sorted({*layers, reads}), options)
    heads = _train(backbone, sets, layers, reads, options.seed)
    measured: dict[str, Any] = {"layer": reads, "photographs": _short(options.photographs)}
    measured["scores"] = {name: _scores(backbone, heads, seen()) for name, seen in sets.tests.items()}
    tables = {layer: _suppress(artifact, backbone, heads, sets, layer, options) for layer in layers}
    measured["suppression"] = {
        layer: {name: summary(rows) for name, rows in table.groupby("pictures")} for layer, table in tables.items()
    }
    _write(options, artifact, heads.by_layer[reads], measured, tables)


def _sets(backbone: Backbone, layers: Sequence[str], options: argparse.Namespace) -> Sets:
    amounts = Amounts(options.copies, options.pairs, options.per_class, options.test, options.seed)
    if options.photographs:
        return photograph_sets(backbone, layers, options.photographs, amounts)
    return starter_sets(backbone, layers, amounts)


def _default_layers(artifact: Artifact) -> list[str]:
    """Every layer of an artifact for patches; three late ones of any other, whose directions are no patches'."""
    layers = artifact.layers
    if artifact.token == "patch":
        return list(layers)
    return sorted({layers[3 * len(layers) // 4 - 1], layers[max(0, len(layers) - 2)], layers[-1]})


def _train(backbone: Backbone, sets: Sets, layers: Sequence[str], reads: str, seed: int) -> Heads:
    lessons = gather(backbone, sets.train(), sorted({*layers, reads}), seed)
    by_layer = {layer: train_head(lessons, layer, sets.classes, seed) for layer in lessons.x}
    return Heads(by_layer, train_head(lessons.shuffled(seed), reads, sets.classes, seed), reads)


def _scores(backbone: Backbone, heads: Heads, seen: Iterable[Observed]) -> dict[str, dict[str, Any]]:
    both = {"head": heads.by_layer[heads.reads], "shuffled_labels": heads.shuffled}
    return {name: asdict(scores) for name, scores in score_heads(backbone, both, seen, heads.reads).items()}


def _suppress(
    artifact: Artifact, backbone: Backbone, heads: Heads, sets: Sets, layer: str, options: argparse.Namespace
) -> pd.DataFrame:
    """The rows of every set of test pictures, with its name in the column `pictures`."""
    reading = Reading(backbone, artifact.sae(layer), layer, heads.by_layer[heads.reads], heads.reads)
    suppression = Suppression(
        reading,
        class_carriers(reading, sets.choice()),
        artifact.latents(layer)["frequency"].to_numpy(float),
        heads.by_layer[layer].directions(),
        tuple(options.latents),
        options.seed,
    )
    return pd.concat([suppression.rows(seen()).assign(pictures=name) for name, seen in sets.tests.items()])


def _write(
    options: argparse.Namespace,
    artifact: Artifact,
    head: PatchHead,
    measured: dict[str, Any],
    tables: dict[str, pd.DataFrame],
) -> None:
    """Into the artifact and the folder `--out`, where there are."""
    if options.out:
        rows = pd.concat([table.assign(layer=layer) for layer, table in tables.items()])
        rows["label"] = [head.classes[label] for label in rows["label"]]
        print(write_head(head, options.out / "head.safetensors"))
        write_text(options.out / "suppression.csv", rows.to_csv(index=False))
    if artifact.folder:
        print(add_document(artifact.folder, "segmentation", write_segmentation(head, measured)))
    print(json.dumps(measured, indent=1))


def _short(sources: Sequence[str] | None) -> list[str] | None:
    """The sources without the folders they lie in, which are nobody's business."""
    return None if sources is None else [Path(source).name for source in sources]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("artifact", help="folder of an artifact, starter, or a Hub model (nothing is stored in it)")
    parser.add_argument("--photographs", nargs="+", help="sources of labelled photographs with train and validation")
    parser.add_argument("--per-class", type=int, default=20, help="photographs of each class to train on")
    parser.add_argument("--test", type=int, default=4, help="photographs of each class to test on")
    parser.add_argument(
        "--copies", type=int, default=6, help="composites per cut-out to train on, half as many to test"
    )
    parser.add_argument("--pairs", type=int, default=60, help="composites of two cut-outs to test on")
    parser.add_argument(
        "--layers", nargs="+", help="where features are switched off (default: all of a patch artifact)"
    )
    parser.add_argument("--latents", nargs="+", type=int, default=[4, 16], help="how many are switched off together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the head and a table of every picture")

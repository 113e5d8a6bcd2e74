"""Measure how faithful relevancy maps are for an artifact: tables, and its document "faithfulness".

Every method explains random latents on photographs that move them, and the objects of pasted scenes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.faithfulness import write_faithfulness
from hsae.artifacts.extras import add_document
from hsae.artifacts.top_images_file import strongest_photographs
from hsae.atomic import write_json, write_text
from hsae.backbones.base import Backbone
from hsae.data.samples import Samples, load_samples
from hsae.data.starter_photos import starter_samples
from hsae.faithfulness.measure import Subject
from hsae.faithfulness.report import ENOUGH, FaithfulnessConfig, LayerScores, score_layer, table


def run(options: argparse.Namespace) -> None:
    """Measure, write and print."""
    artifact, samples = Artifact.load(options.artifact), starter_samples()
    backbone = artifact.load_backbone()
    config = FaithfulnessConfig(options.photos, options.scenes, tuple(options.baselines.split(",")), options.seed)
    layers = options.layers.split(",") if options.layers else artifact.layers
    scores = {layer: _score(artifact, backbone, layer, samples, config) for layer in layers}
    _write(options, artifact, scores, samples.name, config)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("artifact", help="folder of an artifact, starter, or org/name")
    parser.add_argument("--layers", help="names with commas between (default: all)")
    parser.add_argument("--photos", type=int, default=80, help="per layer; one half chooses a method, the other scores")
    parser.add_argument("--scenes", type=int, default=60, help="per layer")
    parser.add_argument("--baselines", default="blur,mean", help="of blur, mean and mask; the first is kept by feature")
    parser.add_argument("--seed", type=int, default=0, help="of latents, photographs and scenes")
    parser.add_argument("--out", type=Path, help="folder for CSV and JSON; the artifact then stays as it is")


def _score(
    artifact: Artifact, backbone: Backbone, layer: str, samples: Samples, config: FaithfulnessConfig
) -> LayerScores:
    subject = Subject(backbone, artifact.sae(layer), layer, artifact.token)
    photos = dict(enumerate(strongest_photographs(artifact.top_images(layer))))
    return score_layer(subject, samples, photos, config, load_samples("starter:cutouts"))


def _write(
    options: argparse.Namespace,
    artifact: Artifact,
    scores: dict[str, LayerScores],
    images: str,
    config: FaithfulnessConfig,
) -> None:
    document, rows = write_faithfulness(scores, images, config), table(scores)
    print(rows.round(3).to_string(index=False))
    for layer, one in scores.items():
        print(f"{layer}: {one.chosen} is best on {one.n_choice} other photographs")
        if (n_photos := one.removals["photo"].nunique()) < ENOUGH:
            print(f"{layer}: only {n_photos} photographs score, {ENOUGH} or more are needed to tell methods apart")
    if options.out is None:
        print(add_document(options.artifact, "faithfulness", document))
        return
    write_json(options.out / "faithfulness.json", document)
    write_text(options.out / "faithfulness.csv", rows.to_csv(index=False))
    print(options.out)

"""Which model is hierarchical? Backbones, runs and artifacts measured on the same images: tables, a figure, a sentence.

A model is SOURCE or SOURCE:LAYER,LAYER, where SOURCE is a backbone (dinov2-small-focus, raw-pixels), an artifact or a
run. With --data all are run on a sample of those images, without it every model must be a run on the same ones. What
is finished is kept in OUT, and the same command goes on from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hsae.artifacts.documents.consistency import write_consistency
from hsae.artifacts.extras import add_document
from hsae.atomic import write_text
from hsae.consistency.correlations import conclude, correlation_table
from hsae.consistency.figure import consistency_figure
from hsae.consistency.images import ImageSample
from hsae.consistency.measure import measure_layer
from hsae.consistency.models import Asked, Model, open_model
from hsae.consistency.table import layer_table, markdown, model_table
from hsae.errors import InputError
from hsae.report.figure_files import write_figure

DEFAULTS = ImageSample(())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help="backbone, artifact or run, with :LAYERS or without")
    parser.add_argument("--data", help="data sets to sample, with commas between (default: the images of the runs)")
    parser.add_argument("--split", help="of --data")
    parser.add_argument("--test_split", help="of images that test (default: a share of every class of --split)")
    parser.add_argument("--label_map", help="CSV or JSON file that maps class names of --data to WordNet ids")
    parser.add_argument("--classes", type=int, default=DEFAULTS.n_classes, help="at most so many, random")
    parser.add_argument("--images", type=int, default=DEFAULTS.n_images, help="at most so many of a split")
    parser.add_argument("--train", choices=["small"], help="train a small SAE on every layer of a model without one")
    parser.add_argument("--add", action="store_true", help="write consistency.json into the artifacts among the models")
    parser.add_argument("--out", type=Path, default=Path("consistency"), help="folder of activations, tables, figure")


def run(options: argparse.Namespace) -> None:
    """Measure every layer of every model, write the tables and the figure, and print what may be concluded."""
    asked = [Asked.parse(text) for text in options.models]
    _check(asked, options.data)
    samples = _sample(options).load() if options.data else None
    layers: list[dict[str, Any]] = []
    models: list[Model] = []
    for each in asked:
        models.append(open_model(each, samples, options.out / each.name))
        _check_images(models)
        for layer in tqdm(models[-1].layers, desc=each.name, unit="layer"):
            layers.append(measure_layer(models[-1], layer, options.out / each.name, options.train is not None))
    _write(options, asked, models, layers)


def _write(
    options: argparse.Namespace, asked: Sequence[Asked], models: Sequence[Model], layers: Sequence[Mapping[str, Any]]
) -> None:
    """The files in --out, the documents of artifacts, and what is printed."""
    table = layer_table(layers)
    best, correlations = model_table(table), correlation_table(table)
    conclusion = conclude(correlations, best)
    write_text(options.out / "layers.csv", table.to_csv(index=False))
    write_text(options.out / "correlations.csv", correlations.to_csv(index=False))
    text = "\n".join([markdown(best), markdown(table), conclusion, ""])
    write_text(options.out / "table.md", text)
    print(text)
    print(write_figure(options.out, "consistency", *consistency_figure(table)))
    for each, model in zip(asked, models, strict=True):
        if options.add and each.artifact_at is not None:
            document = write_consistency(model.name, table, conclusion, _described(model))
            print(add_document(each.artifact_at, "consistency", document))


def _sample(options: argparse.Namespace) -> ImageSample:
    sources = tuple(source.strip() for source in options.data.split(","))
    return ImageSample(sources, options.split, options.test_split, options.label_map, options.classes, options.images)


def _check(asked: Sequence[Asked], data: str | None) -> None:
    """InputError for two models of one name, and without data for what has no images of its own."""
    names = [each.name for each in asked]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"several models named {', '.join(twice)}", "every name once", "Name all layers of one together."
        )
    without = [] if data else [each.source for each in asked if not each.is_run]
    if without:
        got = f"{', '.join(without)} without --data"
        raise InputError(got, "runs with images set apart (--choice_share), or images for all models")


def _check_images(models: Sequence[Model]) -> None:
    """InputError unless the last model was measured on the images of the first."""
    first, last = models[0].images, models[-1].images
    if first.content["images"] != last.content["images"] or first.taxonomy.classes != last.taxonomy.classes:
        got = f"{models[-1].name} on other images or classes than {models[0].name}"
        raise InputError(got, "the same for all", "Name images that all are run on: --data")


def _described(model: Model) -> dict[str, Any]:
    """What the numbers were measured on."""
    content, taxonomy = model.images.content, model.images.taxonomy
    return {"n_images": content["n_images"], "images": content["images"], **taxonomy.rules}

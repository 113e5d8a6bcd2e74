"""Keep thumbnails of an artifact's own top images in it, as its document "examples": the app shows them first.

Only for images that may be passed on: whoever gets the artifact gets them. --data and --split name the very images that
the artifact was measured on, whose rows its top_images.json counts; where a run set a share apart, train.py has
--examples.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.examples import MAX_IMAGES, check_rights, rows_to_show, write_examples
from hsae.artifacts.documents.profiles import read_weaker
from hsae.artifacts.extras import add_document, on_disk
from hsae.data.samples import load_samples
from hsae.errors import InputError
from hsae.measures.weaker_images import WeakerImages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command can be told."""
    parser.add_argument("artifact", help="folder of an artifact")
    parser.add_argument("--data", required=True, help="images it was measured on: a folder, parquet files or a Hub id")
    parser.add_argument("--split", help="of the images, where they have splits")
    parser.add_argument("--n", type=int, default=2000, help=f"thumbnails kept, at most {MAX_IMAGES}")
    parser.add_argument("--licence", required=True, help="of the images, e.g. 'CC BY 4.0'; shown beside them")
    parser.add_argument("--source", required=True, help="of the images, e.g. who made them; shown beside them")


def run(options: argparse.Namespace) -> None:
    """Write the document and name its file."""
    check_rights(options.n, options.licence, options.source)
    artifact = Artifact.load(options.artifact)
    folder, samples = on_disk(artifact), load_samples(options.data, split=options.split)
    rows = rows_to_show(_latents(artifact), options.n)
    beyond = [row for row in rows if row >= len(samples)]
    if beyond:
        raise InputError(f"row {beyond[0]} of {samples.name}, which has {len(samples)}", "the artifact's own images")
    images = ((row, samples.read(row).image) for row in rows)
    print(add_document(folder, "examples", write_examples(images, options.licence, options.source)))


def _latents(artifact: Artifact) -> Iterator[tuple[list[int], WeakerImages]]:
    """Of every latent of every layer the rows on which it is strongest, and weaker ones."""
    profiles = artifact.document("profiles")
    for layer in artifact.layers:
        for latent, entry in enumerate(artifact.top_images(layer)):
            yield [row for row, _ in entry["dataset"]], read_weaker(profiles, layer, latent).images

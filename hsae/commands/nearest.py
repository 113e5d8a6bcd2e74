"""Store what an artifact makes of the starter photographs, so that the app need not run them.

Its document "starter" has their activations at the last layer; of features of patches "maps" has where they fire.
"""

from __future__ import annotations

import argparse

import torch
from tqdm import tqdm

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.maps import write_maps
from hsae.artifacts.documents.starter import write_starter
from hsae.artifacts.extras import add_document
from hsae.artifacts.top_images_file import strongest_photographs
from hsae.data.starter_photos import starter_samples
from hsae.relevancy.explain import regular_grid
from hsae.report.firing_maps import FiringMaps, FiringMapsFitter
from hsae.session import Session
from hsae.steering.nearest import photo_bank


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("artifact", help="folder of an artifact")


def run(options: argparse.Namespace) -> None:
    """Add the documents and name their files."""
    session = Session(Artifact.load(options.artifact))
    bank = photo_bank(session.backbone, starter_samples(), session.artifact.layers[-1], session.class_token)
    print(add_document(options.artifact, "starter", write_starter(bank)))
    if session.artifact.token == "patch":
        print(add_document(options.artifact, "maps", write_maps(_maps(session))))


def _maps(session: Session) -> dict[str, FiringMaps]:
    """Where the features of each layer fire, run anew on the photographs."""
    backbone, artifact = session.backbone, session.artifact
    fitters = {
        layer: FiringMapsFitter(artifact.sae(layer), strongest_photographs(artifact.top_images(layer)), grid)
        for layer in artifact.layers
        if (grid := regular_grid(backbone, layer))
    }
    for sample in tqdm(starter_samples(), desc="photographs"):
        with torch.no_grad():
            found = backbone.run_tokens(backbone.pixels([sample.image]), artifact.layers, "patch")
        for layer, fitter in fitters.items():
            fitter.update(sample.key, found[layer][0])
    return {layer: fitter.compute() for layer, fitter in fitters.items()}

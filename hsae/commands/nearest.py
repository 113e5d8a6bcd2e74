"""Store the starter photographs' activations at an artifact's last layer, as its document "starter"."""

from __future__ import annotations

import argparse

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.starter import write_starter
from hsae.artifacts.extras import add_document
from hsae.data.starter_photos import starter_samples
from hsae.session import Session
from hsae.steering.nearest import photo_bank


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("artifact", help="folder of an artifact")


def run(options: argparse.Namespace) -> None:
    """Add the document "starter" and name its file."""
    session = Session(Artifact.load(options.artifact))
    bank = photo_bank(session.backbone, starter_samples(), session.artifact.layers[-1], session.class_token)
    print(add_document(options.artifact, "starter", write_starter(bank)))

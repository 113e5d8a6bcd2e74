"""Figures of a finished run or artifact, each as PNG and as the CSV it shows."""

from __future__ import annotations

import argparse
from pathlib import Path

from hsae.artifacts.artifact import Artifact
from hsae.commands.command_line import artifact_in, figures_beside
from hsae.hierarchy import Taxonomy
from hsae.report.figures import write_figures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("run", type=Path, help="folder of a run or of an artifact")
    parser.add_argument("--out", type=Path, help="folder to write to (default: RUN/figures, or beside an artifact)")
    parser.add_argument("--small", action="store_true", help="PNG files under 150 kB only, for a README")


def run(options: argparse.Namespace) -> None:
    """Write the figures and name them."""
    artifact = Artifact.load(artifact_in(options.run))
    latents = {layer: artifact.latents(layer) for layer in artifact.layers}
    curves = {layer: artifact.curves[layer] for layer in artifact.layers if layer in artifact.curves}
    taxonomy = Taxonomy(artifact.classes) if artifact.classes else None
    out = options.out or figures_beside(options.run)
    for path in write_figures(out, curves, latents, artifact.tree, taxonomy, options.small):
        print(path)

"""Figures of a finished run or an artifact, as PNG and CSV: python -m hsae.analysis runs/NAME [--out FOLDER]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hsae.analysis.figures import write_figures
from hsae.artifacts.artifact import Artifact
from hsae.errors import HsaeError
from hsae.hierarchy import Taxonomy


def main(arguments: list[str]) -> int:
    """Write the figures and name them; errors a user can cause are one sentence and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m hsae.analysis", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a run or of an artifact")
    parser.add_argument("--out", type=Path, help="folder to write to (default: RUN/figures, or beside an artifact)")
    options = parser.parse_args(arguments)
    try:
        inside = options.run / "artifact"
        is_run = inside.is_dir()
        artifact = Artifact.load(inside if is_run else options.run)
        beside = options.run / "figures" if is_run else options.run.with_name(f"{options.run.name}-figures")
        latents = {layer: artifact.latents(layer) for layer in artifact.layers}
        curves = {layer: artifact.curves[layer] for layer in artifact.layers if layer in artifact.curves}
        taxonomy = Taxonomy(artifact.classes)
        for path in write_figures(options.out or beside, curves, latents, artifact.tree, taxonomy):
            print(path)
    except HsaeError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

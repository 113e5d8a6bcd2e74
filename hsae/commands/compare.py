"""Two runs or artifacts compared latent by latent: comparison.json, comparison.png and two CSV files."""

from __future__ import annotations

import argparse
from pathlib import Path

from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.extras import add_document
from hsae.atomic import write_json
from hsae.commands.command_line import artifact_in, figures_beside
from hsae.comparison.document import comparison_document
from hsae.comparison.figure import write_comparison
from hsae.comparison.match_latents import compare_stores, extract_for, starter_photos
from hsae.data.samples import load_samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("a", type=Path, help="folder of a finished run, or of an artifact (then with --data)")
    parser.add_argument("b", type=Path, help="the other one")
    parser.add_argument("--data", help="images to compare on (default: the runs' held-out activations)")
    parser.add_argument("--split", help="split of --data")
    parser.add_argument("--label_map", help="CSV or JSON file that maps class names of --data to WordNet ids")
    parser.add_argument("--limit", type=int, help="use only the first images of --data")
    parser.add_argument("--out", type=Path, help="folder to write to (default: A/figures, or beside an artifact)")
    parser.add_argument("--no_stitch", action="store_true", help="leave out the linear maps, which take longest")
    parser.add_argument("--add", action="store_true", help="also put comparison.json into A's artifact")


def run(options: argparse.Namespace) -> None:
    """Compare, write and name the files."""
    out = options.out or figures_beside(options.a)
    folders = [artifact_in(run) for run in (options.a, options.b)]
    a, b = (Artifact.load(folder) for folder in folders)
    comparison = compare_stores(a, b, *_stores(options, a, b, out), stitch=not options.no_stitch, progress=True)
    document = comparison_document(comparison, starter_photos(b))
    write_json(out / "comparison.json", document)
    written = [out / "comparison.json", *write_comparison(out, comparison)]
    if options.add:
        written.append(add_document(folders[0], "comparison", document))
    print(*written, sep="\n")


def _stores(options: argparse.Namespace, a: Artifact, b: Artifact, out: Path) -> list[ActivationStore]:
    """Held-out activations of the two runs, or those of the images that were named, kept in `out`."""
    if options.data is None:
        return [ActivationStore(run / "activations" / "heldout") for run in (options.a, options.b)]
    samples = load_samples(options.data, split=options.split, label_map=options.label_map, limit=options.limit)
    return [extract_for(artifact, samples, out / f"activations_{n}") for n, artifact in (("a", a), ("b", b))]

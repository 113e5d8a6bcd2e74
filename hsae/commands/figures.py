"""Figures of a run, or two runs compared, as PNG and CSV.

python -m hsae figures runs/NAME [--out FOLDER] [--small]
python -m hsae compare A B [--data IMAGES] [--out FOLDER] [--add]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.extras import add_document
from hsae.atomic import write_json
from hsae.comparison.document import comparison_document
from hsae.comparison.figure import write_comparison
from hsae.comparison.match_latents import compare_stores, extract_for, starter_photos
from hsae.data.samples import load_samples
from hsae.errors import HsaeError
from hsae.hierarchy import Taxonomy
from hsae.report.figures import write_figures


def main(arguments: list[str]) -> int:
    """Write what was asked for and name it; errors a user can cause are one sentence and exit status 1."""
    try:
        if arguments[:1] == ["compare"]:
            compare(arguments[1:])
        else:
            figures(arguments)
    except HsaeError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def figures(arguments: list[str]) -> None:
    """The figures of one run or artifact."""
    parser = _parser("python -m hsae figures")
    parser.add_argument("run", type=Path, help="folder of a run or of an artifact; or: compare A B")
    parser.add_argument("--out", type=Path, help="folder to write to (default: RUN/figures, or beside an artifact)")
    parser.add_argument("--small", action="store_true", help="PNG files under 150 kB only, for a README")
    options = parser.parse_args(arguments)
    artifact = Artifact.load(_artifact_in(options.run))
    latents = {layer: artifact.latents(layer) for layer in artifact.layers}
    curves = {layer: artifact.curves[layer] for layer in artifact.layers if layer in artifact.curves}
    taxonomy = Taxonomy(artifact.classes) if artifact.classes else None
    out = options.out or _beside(options.run)
    for path in write_figures(out, curves, latents, artifact.tree, taxonomy, options.small):
        print(path)


def compare(arguments: list[str]) -> None:
    """comparison.json, comparison.png, comparison.csv and comparison_models.csv of two runs or artifacts."""
    parser = _parser("python -m hsae compare")
    parser.add_argument("a", type=Path, help="folder of a finished run, or of an artifact (then with --data)")
    parser.add_argument("b", type=Path, help="the other one")
    parser.add_argument("--data", help="images to compare on (default: the runs' held-out activations)")
    parser.add_argument("--split", help="split of --data")
    parser.add_argument("--label_map", help="CSV or JSON file that maps class names of --data to WordNet ids")
    parser.add_argument("--limit", type=int, help="use only the first images of --data")
    parser.add_argument("--out", type=Path, help="folder to write to (default: A/figures, or beside an artifact)")
    parser.add_argument("--no_stitch", action="store_true", help="leave out the linear maps, which take longest")
    parser.add_argument("--add", action="store_true", help="also put comparison.json into A's artifact")
    options = parser.parse_args(arguments)
    out = options.out or _beside(options.a)
    folders = [_artifact_in(run) for run in (options.a, options.b)]
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


def _parser(command: str) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=command, description=__doc__, formatter_class=raw)


def _artifact_in(run: Path) -> Path:
    """The artifact of a run, or the artifact itself."""
    return run / "artifact" if (run / "artifact").is_dir() else run


def _beside(run: Path) -> Path:
    return run / "figures" if (run / "artifact").is_dir() else run.with_name(f"{run.name}-figures")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

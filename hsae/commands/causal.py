"""Test whether steering a feature moves its WordNet subtree.

The result becomes the artifact's document "causal", and causal.png with causal.csv. Takes about 16 minutes on one core
for four layers of the starter artifact; broken off, it goes on with the layers that are missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.causal import resumed, write_causal
from hsae.artifacts.extras import add_document
from hsae.commands.command_line import figures_beside
from hsae.data.samples import Samples, load_samples
from hsae.measures.plain import significant
from hsae.report.figure_files import write_figure
from hsae.session import Session
from hsae.steering.causal.experiment import CONDITIONS, CONTROLS, Images, LayerTest, Setting
from hsae.steering.causal.figure import causal_figure
from hsae.steering.causal.push import BATCH
from hsae.steering.edits import Scope
from hsae.steering.readout import Readout


def run(options: argparse.Namespace) -> None:
    """Run the test, store and draw what it measured."""
    session = Session(Artifact.load(options.artifact))
    measured = measure_layers(session, load_samples(options.data, split=options.split), options)
    folder = Path(str(session.artifact.folder or "artifact")).resolve()
    print(write_figure(options.out or figures_beside(folder), "causal", *causal_figure(measured)))
    print("\n".join(summary_lines(measured, session.artifact.layers[-1])))


def measure_layers(session: Session, samples: Samples, options: argparse.Namespace) -> dict[str, Any]:
    """The document, from up to `options.pool` images drawn from `samples`; stored after every layer, and resumed."""
    artifact, last = session.artifact, session.artifact.layers[-1]
    layers = options.layers or spread(artifact.layers)
    scope: Scope = "cls" if session.class_token == "cls" else "patches"
    setting = Setting(options.features, options.images, options.seed, scope)
    rows = np.random.default_rng(options.seed).permutation(len(samples))[: options.pool]
    data = Path(samples.name).name  # its folders are private
    document = resumed(artifact.document("causal"), write_causal({}, setting, len(rows), data))
    readout = Readout(session.backbone, artifact.probe(last), artifact.classes, last, session.class_token)
    missing = [layer for layer in layers if layer not in document["layers"]]
    activations, wnids = collect(session, samples.subset(rows), [*missing, last]) if missing else ({}, [])
    for layer in tqdm(missing, desc="layers"):
        images = Images(activations[layer], activations[last], wnids)
        table, sae = artifact.latents(layer), artifact.sae(layer)
        test = LayerTest(layer, sae, table, session.taxonomy, images, readout, setting)
        tested = document["layers"] | {layer: significant(test.run(), 3)}
        document["layers"] = {name: tested[name] for name in artifact.layers if name in tested}
        if artifact.folder:
            add_document(artifact.folder, "causal", document)
    return document


def collect(session: Session, samples: Samples, layers: list[str]) -> tuple[dict[str, Tensor], list[str | None]]:
    """Activations `{layer: [images, tokens, d_in]}` of all readable images, and their classes."""
    parts: list[dict[str, Tensor]] = []
    wnids: list[str | None] = []
    for start in tqdm(range(0, len(samples), BATCH), desc="images"):
        batch = [sample for _, sample in samples.rows(start, start + BATCH) if sample is not None]
        parts.append(session.backbone.run([sample.image for sample in batch], layers))
        wnids += [sample.wnid for sample in batch]
    return {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}, wnids


def spread(layers: tuple[str, ...]) -> list[str]:
    """The layers at a half and three quarters of the way, the one before the last, and the last."""
    n = len(layers)
    return list(dict.fromkeys(layers[max(at, 0)] for at in (n // 2 - 1, 3 * n // 4 - 1, n - 2, n - 1)))


def summary_lines(document: dict[str, Any], read_at: str) -> list[str]:
    """For every layer and value the advantage over siblings, in logits, of the feature and all it is compared with.

    The layer that the classes are read from comes last, apart from the others.
    """
    layers = document["layers"]
    lines = ["advantage over siblings in logits, of the feature, controls (p against each) and ceilings"]
    for name in [layer for layer in layers if layer != read_at]:
        lines += _lines(name, layers[name]["summary"])
    if read_at in layers:
        lines.append("at the layer that the classes are read from, where it is next to a tautology:")
        lines += _lines(read_at, layers[read_at]["summary"])
    return lines


def _lines(layer: str, summaries: dict[str, Any]) -> list[str]:
    lines = []
    for value, summary in summaries.items():
        if summary["n_features"]:
            advantage = summary["measures"]["advantage"]
            numbers = [_mean_and_p(advantage, condition) for condition in CONDITIONS if condition in advantage]
            shuffled = advantage["against_shuffled"]
            numbers.append(f"shuffled nodes {shuffled['shuffled']:+.3f} (p {shuffled['p']:.4f})")
            lines.append(f"{layer} {value}, {summary['n_features']} features: " + ", ".join(numbers))
    return lines


def _mean_and_p(advantage: dict[str, Any], condition: str) -> str:
    mean, against = advantage[condition]["mean"], advantage.get(f"against_{condition}")
    if mean is None:
        return f"{condition} -"
    return f"{condition} {mean:+.3f}" + (f" (p {against['p']:.4f})" if against and condition in CONTROLS else "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("artifact", help="folder of an artifact, starter, or a Hub model (nothing is stored in it)")
    parser.add_argument("--data", default="starter", help="images: starter, a folder, parquet files or a Hub data set")
    parser.add_argument("--split", help="of the images")
    parser.add_argument("--layers", nargs="+", help="default: a half, three quarters, next to last and last")
    parser.add_argument("--features", type=int, default=Setting.features, help="tested per layer")
    parser.add_argument("--images", type=int, default=Setting.images, help="per feature and value")
    parser.add_argument(
        "--pool", type=int, default=800, help="images; one half is moved, nodes lie where the other says"
    )
    parser.add_argument("--seed", type=int, default=Setting.seed)
    parser.add_argument("--out", type=Path, help="folder of the figure (default: beside the artifact)")

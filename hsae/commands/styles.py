"""Which of a model's named features survive a change of style: photographs, and the same in grey, as edges, as mosaic.

For every photograph and layer: of the named features that are said of it, the share that is also said of its other
version (kept), and of the other version of another photograph (null): a style that makes everything alike has both.
Intervals are over photographs. Concepts narrow it down to features whose names are a concept or stand below one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from hsae.artifacts.artifact import Artifact
from hsae.atomic import write_json
from hsae.backbones.base import Backbone
from hsae.data.joined import join_samples
from hsae.data.samples import Samples, load_samples
from hsae.errors import InputError, LabelError
from hsae.faithfulness.styles import STYLES
from hsae.hierarchy import wordnet
from hsae.measures.plain import records
from hsae.measures.survival import survival_of
from hsae.report.active import said_of

ALL = "all"
"""The concept of which every feature is."""
Said = dict[str, dict[str, np.ndarray]]
"""`{layer: {version: bool [pictures, d_sae]}}`; the versions are "photograph" and the styles."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("artifacts", nargs="+", help="folders of artifacts, starter, or Hub models")
    parser.add_argument(
        "--data", default="starter:photos,starter:cutouts", help="sources of photographs, with commas between"
    )
    parser.add_argument("--split", help="of the sources, where they have splits")
    parser.add_argument("--limit", type=int, help="of every source the first photographs only")
    parser.add_argument("--layers", nargs="+", help="(default: all)")
    parser.add_argument(
        "--concepts", nargs="+", default=[], help="words (all their senses), WordNet ids, or text files of one a line"
    )
    parser.add_argument("--out", type=Path, help="JSON file for the table and what it was measured on")


def run(options: argparse.Namespace) -> None:
    """Measure, print, write."""
    nodes = {concept: nodes_of(concept) for concept in read_concepts(options.concepts)}
    sources = [source.strip() for source in options.data.split(",")]
    samples = join_samples([load_samples(each, split=options.split, limit=options.limit) for each in sources])
    if len(samples) < 2:
        raise InputError(f"{len(samples)} photographs", "two or more, to be told from each other")
    tables = []
    for artifact in map(Artifact.load, options.artifacts):
        said = look(artifact, artifact.load_backbone(), samples, options.layers or artifact.layers)
        tables.append(table(artifact, said, nodes))
    rows = pd.concat(tables)
    print(rows.to_string(index=False, float_format="{:.3f}".format, na_rep="-"))
    if options.out:
        measured = {"photographs": samples.name, "images": samples.images_fingerprint, "concepts": nodes}
        write_json(options.out, measured | {"rows": records(rows)})
        print(options.out)


@torch.no_grad()
def look(artifact: Artifact, backbone: Backbone, samples: Samples, layers: Sequence[str]) -> Said:
    """Which features are said of every photograph and its other versions; of patches, of any of them."""
    parts: dict[str, dict[str, list[np.ndarray]]] = {layer: {} for layer in layers}
    tables = {layer: artifact.latents(layer) for layer in layers}
    for sample in tqdm(samples, total=len(samples), desc=artifact.id, unit="photograph"):
        shown = versions(backbone.preprocessing.crop(sample.image))
        x = backbone.run(list(shown.values()), layers)
        for layer in layers:
            tokens = backbone.select_token(x[layer], layer, artifact.token)
            highest = artifact.sae(layer).pre_activation(tokens).amax(1).cpu().numpy()
            for version, said in zip(shown, said_of(tables[layer], highest), strict=True):
                parts[layer].setdefault(version, []).append(said)
    return {layer: {version: np.stack(said) for version, said in parts[layer].items()} for layer in layers}


def versions(crop: Image.Image) -> dict[str, Image.Image]:
    """What the backbone sees of a photograph, and the same in every style."""
    return {"photograph": crop} | {name: style(crop) for name, style in STYLES.items()}


def table(artifact: Artifact, said: Said, concepts: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """A row for every layer, concept and style; InputError for an artifact none of whose features has a name.

    features: how many have a name of the concept; said: how many are said of a photograph, on average.
    """
    rows: list[dict[str, object]] = []
    for layer, by_version in said.items():
        latents = artifact.latents(layer)
        for concept, nodes in {ALL: None, **concepts}.items():
            chosen = _named(latents, nodes)
            before = by_version["photograph"][:, chosen]
            described = {"artifact": artifact.id, "layer": layer, "concept": concept, "features": len(chosen)}
            for style in STYLES:
                numbers = survival_of(before, by_version[style][:, chosen]).numbers()
                rows.append(described | {"style": style, "said": float(before.sum(1).mean())} | numbers)
    if not any(row["features"] for row in rows):
        do = "Name them with python -m hsae names ARTIFACT --choose IMAGES --test IMAGES."
        raise InputError(f"{artifact.id} without a feature that has a name", "one or more", do)
    return pd.DataFrame(rows)


def _named(latents: pd.DataFrame, nodes: Sequence[str] | None) -> np.ndarray:
    """Numbers of the latents that have a name, at or below one of the nodes."""
    named = np.flatnonzero(said_of(latents, np.full(len(latents), np.inf, dtype=np.float32)))
    if nodes is None:
        return named
    above = [wordnet().ancestors(node) for node in latents["node"].iloc[named]]
    return named[np.array([not each.isdisjoint(nodes) for each in above], dtype=bool)]


def read_concepts(given: Sequence[str]) -> list[str]:
    """What was named, and in place of a file its lines without comments (#); each once.

    InputError for a file that is no text.
    """
    concepts: list[str] = []
    for text in given:
        try:
            lines = Path(text).read_text(encoding="utf-8").splitlines() if Path(text).is_file() else [text]
        except (OSError, ValueError) as error:
            raise InputError(f"{text} cannot be read: {error}", "a text file of concepts, one a line") from error
        concepts += filter(None, (line.partition("#")[0].strip() for line in lines))
    return list(dict.fromkeys(concepts))


def nodes_of(concept: str) -> tuple[str, ...]:
    """The synset of an id, or all that a word has; LabelError for neither."""
    nodes = (concept,) if concept in wordnet() else wordnet().named(concept)
    if not nodes:
        raise LabelError(f"the concept {concept!r:.80}", "a WordNet id, a noun of WordNet, or a file of them")
    return nodes

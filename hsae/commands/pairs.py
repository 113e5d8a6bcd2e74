"""What the features of artifacts follow: object, background, colour, texture, place or pose.

Cut-outs are pasted on backgrounds, then one thing is changed at a time; a feature follows what takes it away. Several
artifacts make one table, such as those of two tokens, or one of the same backbone with random weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from hsae.artifacts.artifact import Artifact
from hsae.atomic import write_text
from hsae.backbones.base import Backbone
from hsae.data.samples import load_samples
from hsae.faithfulness.backgrounds import backgrounds_of
from hsae.faithfulness.variations import settings, variations
from hsae.measures.following import kind_shares, survival

BACKGROUNDS = 60


def run(options: argparse.Namespace) -> None:
    """Measure, print, write."""
    samples, tables = load_samples("starter:cutouts"), []
    for source in options.artifacts:
        artifact = Artifact.load(source)
        backbone = artifact.load_backbone()
        backgrounds = backgrounds_of(options.photographs, backbone.preprocessing.image_size, BACKGROUNDS)
        pictures = (variations(*pair) for pair in settings(samples, backgrounds, options.scenes, options.seed))
        tables.append(table(artifact, backbone, pictures, options.layers or artifact.layers))
    rows = pd.concat(tables)
    print(rows.round(3).to_string(index=False))
    if options.out:
        write_text(options.out, rows.to_csv(index=False))
        print(options.out)


def table(
    artifact: Artifact, backbone: Backbone, pictures: Iterable[Mapping[str, Image.Image]], layers: Sequence[str]
) -> pd.DataFrame:
    """A row per layer: features judged, the share of each kind, and what each change leaves of a feature on average."""
    z = latents(artifact, backbone, pictures, layers)
    rows = []
    for layer in layers:
        left = survival(z[layer].pop("base"), z[layer])
        described = {"artifact": artifact.id, "backbone": backbone.id, "token": artifact.token, "layer": layer}
        rows.append(described | kind_shares(left) | {f"kept_{change}": left[change].mean() for change in left})
    return pd.DataFrame(rows)


@torch.no_grad()
def latents(
    artifact: Artifact, backbone: Backbone, pictures: Iterable[Mapping[str, Image.Image]], layers: Sequence[str]
) -> dict[str, dict[str, np.ndarray]]:
    """`{layer: {change: [pictures, d_sae]}}`: the strongest of a picture's tokens that the artifact's SAEs read."""
    z: dict[str, dict[str, list[np.ndarray]]] = {layer: {} for layer in layers}
    for changed in pictures:
        x = backbone.run(list(changed.values()), layers)
        for layer in layers:
            values = artifact.sae(layer).encode(backbone.select_token(x[layer], layer, artifact.token)).amax(1)
            for change, one in zip(changed, values.cpu().numpy(), strict=True):
                z[layer].setdefault(change, []).append(one)
    return {layer: {change: np.stack(parts) for change, parts in of_layer.items()} for layer, of_layer in z.items()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("artifacts", nargs="+", help="folders of artifacts, starter, or Hub models")
    parser.add_argument("--photographs", help="source of photographs for backgrounds (default: blurred colours)")
    parser.add_argument("--layers", nargs="+", help="(default: all)")
    parser.add_argument("--scenes", type=int, default=100, help="pictures, each of which is changed in seven ways")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="CSV file")

"""Measure where latents of patches fire: hanging together, at one place, at high norms, on objects with known masks.

The columns coherence, place_variance, high_norm_share, object_precision and kind are written into the artifact. Objects
are the starter's cut-outs, pasted on photographs of --backgrounds, or on blurred ones where none are given.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.extras import on_disk
from hsae.artifacts.stores import check_store
from hsae.artifacts.tables import replace_tables
from hsae.backbones.base import Backbone
from hsae.backbones.places import patch_grid
from hsae.data.samples import load_samples
from hsae.errors import InputError
from hsae.faithfulness.localisation import HALF
from hsae.faithfulness.scenes import Scene, coverage, paste, scenes
from hsae.measures.places import LatentPlaces, PlacesFitter, share_inside
from hsae.measures.plain import significant
from hsae.report.places import KINDS, place_kinds
from hsae.sae.model import SparseAutoencoder

_IMAGES = 16  # at once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command can be told."""
    parser.add_argument("artifact", help="folder of an artifact of patches")
    parser.add_argument("--store", required=True, help="stored activations of images that no SAE was trained on")
    parser.add_argument("--backgrounds", help="photographs to paste objects on (default: blurred starter photographs)")
    parser.add_argument("--scenes", type=int, default=200, help="pictures with a pasted object")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")


def run(options: argparse.Namespace) -> None:
    """Measure every layer, write and print."""
    artifact, store = Artifact.load(options.artifact), ActivationStore(options.store)
    if artifact.token != "patch":
        raise InputError(f"{artifact.id} of token {artifact.token}", "an artifact of patches")
    folder = on_disk(artifact).resolve()
    check_store(artifact, store)
    backbone = artifact.load_backbone()
    pictures = list(_pictures(backbone, options.backgrounds, options.scenes, options.seed))
    x, inside = look(backbone, pictures, artifact.layers)
    chance = float(inside.float().mean())
    tables, numbers = {}, {}
    for layer in tqdm(artifact.layers, desc="layers"):
        sae = artifact.sae(layer)
        columns = asdict(latent_places(sae, store, layer, patch_grid(backbone, layer)))
        columns["object_precision"] = _inside(sae, x[layer], inside)
        table = artifact.latents(layer).assign(**columns)
        tables[layer] = table.assign(kind=place_kinds(table, chance))
        numbers[layer] = layer_numbers(tables[layer])
    settings = {"n_images": len(store), "n_scenes": options.scenes, "seed": options.seed, "object_share": chance}
    print(replace_tables(folder, tables, {"places": significant({**settings, "layers": numbers}, 4)}))
    print(pd.DataFrame.from_dict(numbers, orient="index").to_string(float_format="{:.3f}".format, na_rep="-"))


@torch.no_grad()
def latent_places(sae: SparseAutoencoder, store: ActivationStore, layer: str, grid: tuple[int, int]) -> LatentPlaces:
    """Where the latents of a layer fire on the images of a store."""
    fitter = PlacesFitter(sae.d_sae, grid)
    for number in range(len(store.shard_shapes)):
        for x in store.shard(number, layer).split(_IMAGES):
            fitter.update(sae.encode(x), x.norm(dim=-1))
    return fitter.compute()


@torch.no_grad()
def look(backbone: Backbone, pictures: list[Scene], layers: tuple[str, ...]) -> tuple[dict[str, Tensor], Tensor]:
    """Activations `{layer: [pictures, patches, d_in]}`; which patches belong to the object, `[pictures, patches]`."""
    parts: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    for start in range(0, len(pictures), _IMAGES):
        run = backbone.run([picture.image for picture in pictures[start : start + _IMAGES]], layers)
        for layer in layers:
            parts[layer].append(backbone.select_token(run[layer], layer, "patch"))
    x = {layer: torch.cat(found) for layer, found in parts.items()}
    side, (layer, *_) = backbone.preprocessing.image_size, layers
    places = backbone.token_map(layer, torch.zeros(1, 3, side, side))
    covered = np.stack([coverage(picture.mask, places, x[layer].shape[1]) for picture in pictures])
    return x, torch.from_numpy(covered >= HALF)


def layer_numbers(table: pd.DataFrame) -> dict[str, Any]:
    """Median coherence, and how many latents are of each kind."""
    kinds = {f"n_{kind.replace(' ', '_')}": int((table["kind"] == kind).sum()) for kind in KINDS}
    return {"median_coherence": float(table["coherence"].median()), **kinds, "n_alive": int((~table["dead"]).sum())}


@torch.no_grad()
def _inside(sae: SparseAutoencoder, x: Tensor, inside: Tensor) -> np.ndarray:
    return share_inside(torch.cat([sae.encode(part).flatten(0, 1) for part in x.split(_IMAGES)]), inside.flatten())


def _pictures(backbone: Backbone, backgrounds: str | None, n: int, seed: int) -> Iterator[Scene]:
    """`n` objects, each on a background; the same ones for the same seed."""
    starter = load_samples("starter:cutouts")
    side = backbone.preprocessing.image_size
    if backgrounds is None:
        yield from scenes(starter, n, side, seed)
        return
    photographs, generator = load_samples(backgrounds), np.random.default_rng(seed)
    for _ in range(n):
        sample = starter.read(int(generator.integers(len(starter))))
        behind = photographs.read(int(generator.integers(len(photographs))))
        yield paste(sample, backbone.preprocessing.crop(behind.image), generator)

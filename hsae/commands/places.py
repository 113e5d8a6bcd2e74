"""Measure where latents of patches fire: hanging together, at one place, at high norms, on objects with known masks.

The columns coherence, place_variance, high_norm_share, object_precision, kind and, with --photographs,
foreground_precision are written into the artifact, and the counts of each layer into its index, with `pointing`:
whether latents that an object raises are strongest on it. Objects are the starter's cut-outs, pasted on photographs of
--backgrounds, or on blurred ones where none are given; foregrounds are what the default backbone's own saliency decoder
takes for them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import torch
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
from hsae.faithfulness.objects import Masked, observe_foregrounds, observe_pasted, pasted_scenes
from hsae.measures.places import LatentPlaces, PlacesFitter
from hsae.measures.plain import significant
from hsae.report.places import KINDS, place_kinds
from hsae.sae.model import SparseAutoencoder

_IMAGES = 16  # at once


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command can be told."""
    parser.add_argument("artifact", help="folder of an artifact of patches")
    parser.add_argument("--store", required=True, help="stored activations of images that no SAE was trained on")
    parser.add_argument("--backgrounds", help="photographs to paste objects on (default: blurred starter photographs)")
    parser.add_argument("--photographs", help="photographs whose foregrounds are looked at too")
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
    scenes = list(pasted_scenes(backbone, options.backgrounds, options.scenes, options.seed))
    pasted = observe_pasted(backbone, scenes, artifact.layers)
    photographs = _photographs(backbone, options, artifact.layers)
    tables, numbers = {}, {}
    for layer in tqdm(artifact.layers, desc="layers"):
        sae = artifact.sae(layer)
        columns = asdict(latent_places(sae, store, layer, patch_grid(backbone, layer)))
        columns["object_precision"] = pasted.precision(sae, layer)
        if photographs:
            columns["foreground_precision"] = photographs.precision(sae, layer)
        table = artifact.latents(layer).assign(**columns)
        tables[layer] = table.assign(kind=place_kinds(table, pasted.chance))
        numbers[layer] = layer_numbers(tables[layer]) | {"pointing": pasted.pointing(sae, layer)}
    settings = {"n_images": len(store), "n_scenes": options.scenes, "seed": options.seed, "object_share": pasted.chance}
    if photographs:
        settings |= {"n_photographs": len(photographs.inside), "foreground_share": photographs.chance}
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


def layer_numbers(table: pd.DataFrame) -> dict[str, Any]:
    """Median coherence, and how many latents are of each kind."""
    kinds = {f"n_{kind.replace(' ', '_')}": int((table["kind"] == kind).sum()) for kind in KINDS}
    return {"median_coherence": float(table["coherence"].median()), **kinds, "n_alive": int((~table["dead"]).sum())}


def _photographs(backbone: Backbone, options: argparse.Namespace, layers: Sequence[str]) -> Masked | None:
    """As many random photographs as there are scenes; None where none are asked for."""
    if options.photographs is None:
        return None
    samples = load_samples(options.photographs, shuffle_seed=options.seed).take(options.scenes)
    return observe_foregrounds(backbone, [backbone.preprocessing.crop(sample.image) for sample in samples], layers)

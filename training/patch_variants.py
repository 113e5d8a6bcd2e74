"""Which SAE of patches? Variants and sparsities on the same photographs, by where their latents fire and what they do.

    python training/patch_variants.py runs/patch-variants \
        --photographs ../shared/data/caltech-101 ../shared/data/imagenette --backgrounds ../shared/data/imagenet-samples

Every SAE of `VARIANTS` is trained for two epochs on `--images` photographs (of the splits "train") and measured on
others ("validation"), on cut-outs pasted on `--backgrounds`, and by what a patch head says of exact composites once the
8 features are off that carry what is shown. Writes RUN/variants.csv, a row per SAE and layer, and prints it; a run that
was broken off goes on with the next SAE.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
import torch

from hsae.activations.extract import extract_activations
from hsae.activations.store import ActivationStore
from hsae.atomic import write_text
from hsae.backbones.base import Backbone
from hsae.backbones.places import patch_grid
from hsae.backbones.registry import load_backbone
from hsae.commands.places import latent_places
from hsae.data.joined import join_samples
from hsae.data.samples import load_samples
from hsae.exit_status import exit_status
from hsae.faithfulness.objects import Pasted, observe_pasted, pasted_scenes
from hsae.measures.activity import latent_activity
from hsae.measures.reconstruction import reconstruction
from hsae.measures.sparse_latents import sparse_latents
from hsae.report.places import AT_HIGH_NORM, AT_ONE_PLACE
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.lists import Counts, Numbers
from hsae.sae.model import SparseAutoencoder
from hsae.sae.train import train_bank
from hsae.steering.segmentation.carriers import Reading, class_carriers
from hsae.steering.segmentation.effect import Suppression, summary
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.observed import Observed
from hsae.steering.segmentation.sets import Amounts, photograph_sets
from hsae.steering.segmentation.train import gather, train_head

VARIANTS = {
    "topk, k 16": SAEConfig("topk", k=16),
    "topk, k 32": SAEConfig("topk", k=32),
    "topk, k 64": SAEConfig("topk", k=64),
    "nested k, 1, 8, 32": SAEConfig("topk", ks=Counts((1, 8, 32)), k_weights=Numbers((3, 1, 1))),
    "coarse and fine, 1 + 31": SAEConfig("coarse_fine", k=32),
}
TRAINING = TrainConfig(epochs=2, batch_size=2048)
SWITCHED_OFF = 8
AMOUNTS = Amounts(copies=2, per_class=10, test=0)


@dataclass(frozen=True, eq=False)
class Material:
    """What all SAEs are trained and measured on."""

    backbone: Backbone
    train: ActivationStore
    heldout: ActivationStore
    pasted: Pasted
    """Cut-outs pasted on photographs."""
    heads: dict[str, PatchHead]
    """By layer; the last one reads."""
    choice: list[Observed]
    """Photographs that say which features carry a class."""
    composites: list[Observed]
    """Whose masks are exact, of one object each, for the head."""


def main(arguments: list[str]) -> int:
    """Train and measure; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder for activations and the table")
    parser.add_argument("--photographs", nargs="+", required=True, help="sources with splits train and validation")
    parser.add_argument("--backgrounds", required=True, help="photographs to paste objects on")
    parser.add_argument("--layers", nargs="+", default=["block_06", "block_08", "block_10"])
    parser.add_argument("--images", type=int, default=650, help="photographs to train on, a quarter as many to measure")
    parser.add_argument("--scenes", type=int, default=96, help="pictures with a pasted object")
    parser.add_argument("--d_sae", type=int, default=1536)
    return exit_status(lambda: compare(parser.parse_args(arguments)))


def compare(options: argparse.Namespace) -> None:
    """Train and measure what is not in the table yet."""
    path = options.run / "variants.csv"
    table = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["variant"])
    missing = {name: config for name, config in VARIANTS.items() if name not in set(table["variant"])}
    if missing:
        material = _material(options)
        for name, config in missing.items():
            rows = _rows(name, replace(config, d_sae=options.d_sae), material)
            table = pd.concat([table, pd.DataFrame(rows)])
            write_text(path, table.to_csv(index=False))
    print(table.round(3).to_string(index=False))


def _rows(name: str, config: SAEConfig, material: Material) -> list[dict[str, Any]]:
    """One for each layer."""
    bank = train_bank(material.train, config, TRAINING, progress=True)
    return [{"variant": name, "layer": layer} | measured(sae.eval(), layer, material) for layer, sae in bank.items()]


def _material(options: argparse.Namespace) -> Material:
    """Photographs through the backbone, and a patch head for each layer."""
    backbone, layers = load_backbone("dinov2-small-focus"), options.layers
    train = _stored(backbone, options, "train", options.images)
    heldout = _stored(backbone, options, "validation", options.images // 4)
    scenes = list(pasted_scenes(backbone, options.backgrounds, options.scenes, 0))
    sets = photograph_sets(backbone, layers, options.photographs, AMOUNTS)
    lessons = gather(backbone, sets.train(), layers)
    return Material(
        backbone,
        train,
        heldout,
        pasted=observe_pasted(backbone, scenes, layers),
        heads={layer: train_head(lessons, layer, sets.classes) for layer in layers},
        choice=list(sets.choice()),
        composites=list(sets.tests["one_object"]()),
    )


def _stored(backbone: Backbone, options: argparse.Namespace, split: str, n: int) -> ActivationStore:
    """Activations of random photographs of a split of all sources."""
    samples = join_samples([load_samples(source, split=split) for source in options.photographs])
    rows = np.sort(np.random.default_rng(0).permutation(len(samples))[:n])
    settings: dict[str, Any] = {"batch_size": 16, "precision": torch.bfloat16}
    return extract_activations(backbone, samples.subset(rows), options.run / split, options.layers, "patch", **settings)


@torch.no_grad()
def measured(sae: SparseAutoencoder, layer: str, material: Material) -> dict[str, float]:
    """Reconstruction, where its latents fire, and what switching carriers off does."""
    x = material.heldout.layer(layer).flatten(0, 1)
    quality = reconstruction(sae, x, material.train.layer(layer).mean((0, 1)))
    places = latent_places(sae, material.heldout, layer, patch_grid(material.backbone, layer))
    return {
        "fvu": quality.fvu,
        "l0": quality.l0,
        "dead": quality.dead,
        "morans_i": float(np.nanmedian(places.coherence)),
        "at_one_place": int((places.place_variance >= AT_ONE_PLACE).sum()),
        "at_high_norm": int((places.high_norm_share >= AT_HIGH_NORM).sum()),
        "pointing": material.pasted.pointing(sae, layer),
        **suppressed(sae, layer, material, latent_activity(sparse_latents(sae, x)).frequency),
    }


def suppressed(sae: SparseAutoencoder, layer: str, material: Material, frequency: np.ndarray) -> dict[str, float]:
    """What changes when carriers are off on the object: shares of its pixels, the same by a random push, and of others.

    NaN where no feature carries any class.
    """
    heads = material.heads
    reads = list(heads)[-1]
    reading = Reading(material.backbone, sae, layer, heads[reads], reads)
    carriers = class_carriers(reading, material.choice)
    suppression = Suppression(reading, carriers, frequency, heads[layer].directions(), (SWITCHED_OFF,))
    entries: list[Any] = [one for one in summary(suppression.rows(material.composites)) if one["scope"] == "object"]
    if not entries:
        return dict.fromkeys(("target", "random", "p", "background"), np.nan)
    features, random = (next(one for one in entries if one["arm"] == arm) for arm in ("features", "random"))
    return {
        "target": features["target"]["mean"],
        "random": random["target"]["mean"],
        "p": features["against"]["random"]["p"],
        "background": features["background"]["mean"],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

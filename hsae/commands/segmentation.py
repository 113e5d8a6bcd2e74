"""Train and score a head that says what each patch shows.

Photographs are the starter's cut-outs on other photographs' blurred colours; every fourth of each kind is kept for the
scores. The head and all numbers become the artifact's document "segmentation". Takes about 5 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.segmentation import write_segmentation
from hsae.artifacts.extras import add_document
from hsae.data.samples import load_samples
from hsae.session import Session
from hsae.steering.editor import Editor
from hsae.steering.segmentation.effect import suppression
from hsae.steering.segmentation.head import PatchHead, write_head
from hsae.steering.segmentation.kinds import held_out, kind_of
from hsae.steering.segmentation.train import pasted_scenes, patches, score_head, score_maps, train_head


def run(options: argparse.Namespace) -> None:
    """Train, score, store, print."""
    session = Session(Artifact.load(options.artifact))
    head, measured = measure(session, options)
    if options.out:
        print(write_head(head, options.out))
    if session.artifact.folder:
        print(add_document(session.artifact.folder, "segmentation", write_segmentation(head, measured)))
    print(json.dumps(measured, indent=1))


def measure(session: Session, options: argparse.Namespace) -> tuple[PatchHead, dict[str, Any]]:
    """The head, and everything measured on it."""
    backbone, last = session.backbone, session.artifact.layers[-1]
    samples = load_samples("starter")
    kinds = [kind_of(None if label is None else samples.classes[label]) for label in samples.labels]
    kept = held_out(kinds)
    parts = {"train": samples.subset(np.flatnonzero(~kept)), "test": samples.subset(np.flatnonzero(kept))}
    side, copies = backbone.preprocessing.image_size, {"train": options.copies, "test": max(1, options.copies // 2)}
    scenes = {
        name: list(pasted_scenes(part, copies[name], side, options.seed + (name == "test")))
        for name, part in parts.items()
    }
    x, covered, labels = patches(backbone, scenes["train"], last)
    head = train_head(x, covered, labels, options.seed)
    order = torch.from_numpy(np.random.default_rng(options.seed).permutation(len(labels)))
    shuffled = train_head(x, covered, labels[order], options.seed)
    test = patches(backbone, scenes["test"], last)[0]
    nothing = [np.zeros((side, side), dtype=int)] * len(scenes["test"])
    truth = [np.where(scene.mask, label, 0) for scene, label in scenes["test"]]
    scores = {
        "head": asdict(score_head(backbone, head, test, scenes["test"], last)),
        "always_background": asdict(score_maps(nothing, truth)),
        "shuffled_labels": asdict(score_head(backbone, shuffled, test, scenes["test"], last)),
    }
    counts = {name: {"photographs": len(part), "scenes": len(scenes[name])} for name, part in parts.items()}
    effect = _suppression(session, head, scenes["test"], options)
    return head, {"layer": last, "counts": counts, "scores": scores, "suppression": effect}


def _suppression(session: Session, head: PatchHead, scenes: list[Any], options: argparse.Namespace) -> dict[str, Any]:
    """By layer and number of latents switched off, on an even choice of the scenes."""
    artifact, last = session.artifact, session.artifact.layers[-1]
    layers = options.layers or [artifact.layers[3 * len(artifact.layers) // 4 - 1], artifact.layers[-2], last]
    chosen = [scene for scene, _ in scenes[:: max(1, len(scenes) // options.scenes)]]
    editor = Editor(
        session.backbone,
        {layer: artifact.sae(layer) for layer in layers},
        {layer: artifact.latents(layer)["p999"].to_numpy(float) for layer in layers},
    )
    return {
        layer: {str(n): suppression(editor, chosen, layer, head, last, n) for n in options.latents} for layer in layers
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("artifact", help="folder of an artifact, starter, or a Hub model (nothing is stored in it)")
    parser.add_argument(
        "--copies", type=int, default=6, help="scenes per photograph to train on, twice as many as to test on"
    )
    parser.add_argument("--layers", nargs="+", help="where latents are switched off (default: three late ones)")
    parser.add_argument("--latents", nargs="+", type=int, default=[1, 16], help="how many are switched off together")
    parser.add_argument("--scenes", type=int, default=60, help="on how many scenes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="also write the head to this .safetensors file")

"""Is a backbone consistent within an image? Two cut-outs beside each other on one natural background.

leakage: a linear head learns from pictures of one cut-out what each patch shows; other cut-outs, two at a time, say how
much of one object's class it then sees on the other one, above what it sees there when that object stands alone. Layers
of segments have no such head. segmentations: patch tokens cut into 2, 4, 8 and 16 segments, each number by itself: do
coarse ones hold fine ones, and do they follow the objects, more than random ones or those of another picture? Of CAST
its own segments are taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hsae.atomic import write_json
from hsae.backbones.base import Backbone
from hsae.backbones.cast import CASTBackbone
from hsae.backbones.places import patch_grid
from hsae.backbones.registry import load_backbone
from hsae.consistency.leakage import leakage, leakage_table, pictures_of_pairs
from hsae.consistency.models import Asked
from hsae.consistency.segmentations import cut_by_layers, cut_by_model, segment_rows, segment_table
from hsae.errors import InputError
from hsae.faithfulness.backgrounds import backgrounds_of
from hsae.measures.plain import records
from hsae.steering.segmentation.composites import Composites
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.observed import observe
from hsae.steering.segmentation.sets import starter_composites
from hsae.steering.segmentation.train import gather, train_head

FEWEST = 16
"""Patches of a layer that can be cut into as many segments."""
BACKGROUNDS = 80


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help="backbone, with :LAYER,LAYER or without")
    parser.add_argument(
        "--photographs", default="starter:photos", help="whose empty parts become backgrounds, half of them to learn on"
    )
    parser.add_argument("--copies", type=int, default=3, help="pictures of each cut-out to learn from")
    parser.add_argument("--pairs", type=int, default=60, help="pictures of two cut-outs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file for both tables")


def run(options: argparse.Namespace) -> None:
    """Measure every model, print each when it is measured, write all."""
    rows: dict[str, list[dict[str, Any]]] = {"leakage": [], "segmentations": []}
    for asked in map(Asked.parse, options.models):
        backbone = load_backbone(asked.source)
        composites = _composites(backbone, options)
        found = within(backbone, _layers(backbone, asked.layers), composites, options)
        for name, table in zip(rows, found, strict=True):
            if len(table):
                table.insert(0, "model", asked.name)
                print(name, table.to_string(index=False, float_format="{:.3f}".format, na_rep="-"), sep="\n")
                rows[name] += records(table)
        if options.out:
            write_json(options.out, rows)
    if options.out:
        print(options.out)


def within(
    backbone: Backbone,
    layers: Sequence[str],
    composites: tuple[Composites, Composites],
    options: argparse.Namespace,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of leakage and of segmentations; composites: to learn from, and to test on."""
    learn, test = composites
    if isinstance(backbone, CASTBackbone):
        return pd.DataFrame(), segment_table(segment_rows(cut_by_model(backbone, test.beside(options.pairs))))
    heads = dict(_heads(backbone, layers, learn, options))
    leaks = leakage(backbone, heads, observe(backbone, pictures_of_pairs(test, options.pairs), layers))
    cuts = cut_by_layers(backbone, layers, observe(backbone, test.beside(options.pairs), layers))
    return leakage_table(leaks, layers), segment_table(segment_rows(cuts))


def _heads(
    backbone: Backbone, layers: Sequence[str], learn: Composites, options: argparse.Namespace
) -> Iterator[tuple[str, PatchHead]]:
    """A head for every layer; those of equal grids learn from one pass over the pictures."""
    for grid in dict.fromkeys(patch_grid(backbone, layer) for layer in layers):
        alike = [layer for layer in layers if patch_grid(backbone, layer) == grid]
        lessons = gather(backbone, observe(backbone, learn.alone(options.copies), alike), alike, options.seed)
        yield from ((layer, train_head(lessons, layer, learn.classes, options.seed)) for layer in alike)


def _layers(backbone: Backbone, asked: Sequence[str]) -> tuple[str, ...]:
    """Those named, or all that have places enough; InputError for one that has fewer."""
    enough = [layer for layer in backbone.layers if _n_patches(backbone, layer) >= FEWEST]
    few = sorted(set(asked) - set(enough) & set(backbone.layers))
    if few or not enough:
        got = f"{', '.join(few) or backbone.id} with fewer than {FEWEST} places"
        raise InputError(got, f"layers that can be cut into {FEWEST} segments")
    return backbone.layer_names(asked or enough)


def _n_patches(backbone: Backbone, layer: str) -> int:
    rows, columns = patch_grid(backbone, layer)
    return rows * columns


def _composites(backbone: Backbone, options: argparse.Namespace) -> tuple[Composites, Composites]:
    """On backgrounds of their own; InputError for a source with fewer than two."""
    found = backgrounds_of(options.photographs, backbone.preprocessing.image_size, BACKGROUNDS)
    if len(found) < 2:
        got = f"{len(found)} photographs of {options.photographs} with a part without anything in front"
        raise InputError(got, "two or more", "Name a source of other photographs.")
    return starter_composites(found[::2], found[1::2], options.seed)

"""Measure what a model says of labelled photographs that it was not trained on, layer by layer.

known: photographs with a class of the model's, or one above or below it in WordNet. top 3: share of those whose class
is among the three likeliest of the layer's probe. said: share of the photographs of which a feature's name is said.
first true: share of first names that are true. five true: share of the photographs of which one of the first five is.
Names come in the order in which the app lists them. Below the layers: how often the concept that the app opens with,
from the last layer's probe, is true.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from hsae.artifacts.artifact import Artifact
from hsae.atomic import write_text
from hsae.data.samples import Samples, load_samples
from hsae.errors import InputError
from hsae.measures.wordnet.truth import name_is_true, told
from hsae.report.shown_names import said_first
from hsae.session import Session

LIKELY = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command can be told."""
    parser.add_argument("artifact", help="folder of an artifact, starter, or org/name")
    parser.add_argument("--data", default="starter:photos", help="labelled images: a folder, parquet files, a Hub id")
    parser.add_argument("--split", help="of the images, where they have splits")
    parser.add_argument("--limit", type=int, help="use the first photographs only")
    parser.add_argument("--out", type=Path, help="also write a row per photograph and layer to this CSV file")


def run(options: argparse.Namespace) -> None:
    """Look at every photograph once, print a line per layer."""
    session = Session(Artifact.load(options.artifact))
    samples = load_samples(options.data, split=options.split, limit=options.limit)
    rows = pd.DataFrame(said_of(session, samples))
    if rows.empty:
        raise InputError(f"no labelled image in {samples.name}", "one or more")
    print(summary(rows).to_string(float_format="{:.3f}".format, na_rep="-"))
    if (opened := rows["concept_true"].dropna()).size:
        print(f"The concept that the app opens with is true of {opened.mean():.1%} of the photographs.")
    if options.out:
        write_text(options.out, rows.to_csv(index=False))


def said_of(session: Session, samples: Samples) -> Iterator[dict[str, object]]:
    """For every labelled photograph and layer: layer, key, wnid, what was `Told`; and, the same for all layers, the
    concept that the app opens with."""
    for sample in tqdm(samples, total=len(samples), desc="photographs"):
        if sample.wnid is None:
            continue
        session.set_image(sample.image)
        opening = session.likely_concept() if session.artifact.classes else None
        concept = {"concept": opening, "concept_true": opening and name_is_true(opening, sample.wnid)}
        for layer in session.artifact.layers:
            likely = session.classes(layer, top=LIKELY)["wnid"].tolist() if session.artifact.classes else []
            judged = told(sample.wnid, likely, session.artifact.classes, names_said(session, layer))
            yield {"layer": layer, "key": sample.key, "wnid": sample.wnid, **asdict(judged), **concept}


def names_said(session: Session, layer: str) -> list[str]:
    """The nodes whose names are said of the photograph, in the order of the app's list; each once."""
    active = said_first(session.active_latents(layer, top=session.artifact.sae(layer).d_sae))
    return list(dict.fromkeys(active.loc[active["said"], "node"]))


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per layer, as the command's description says."""
    numbers = rows[["class_true", "first_true", "five_true"]].astype(float)
    by = numbers.groupby(rows["layer"], sort=False)
    return pd.DataFrame(
        {
            "photographs": by.size(),
            "known": by["class_true"].count(),
            f"top {LIKELY}": by["class_true"].mean(),
            "said": by["first_true"].count() / by.size(),
            "first true": by["first_true"].mean(),
            "five true": by["five_true"].mean(),
        }
    )

"""Does an image and text model keep WordNet's order? The classes of labelled images, and what stands above them, as
captions.

path_order, ancestors_first: an image's similarity to the captions of its own path, with depth and against all others.
depth_correlation, precision, recall: the measures of HierarCaps, with the empty text as the root. cones: are ancestors
seen under smaller exterior angles than strangers? Each beside chance. Models are CLIP, SigLIP or fine-tuned ones such
as RE-CLIP, whose image side is that of its CLIP: which models share it is said.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from hsae.atomic import write_json
from hsae.backbones.hf_text import ImageAndText, load_image_and_text
from hsae.consistency.captions import ClassCaptions, class_captions
from hsae.data.joined import join_samples
from hsae.data.samples import Samples, load_samples
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from hsae.measures.plain import records
from hsae.measures.text_tree import Captions, text_measures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("models", nargs="+", metavar="MODEL", help="folders or Hub ids of CLIP or SigLIP models")
    parser.add_argument("--data", default="starter:photos", help="labelled images, sources with commas between")
    parser.add_argument("--split", help="of --data")
    parser.add_argument("--limit", type=int, help="of every source the first images only")
    parser.add_argument("--template", default="{}", help='of a caption: {} is "a dog", "an animal"')
    parser.add_argument("--out", type=Path, help="JSON file for the table and what it was measured on")


def run(options: argparse.Namespace) -> None:
    """Measure, print, write."""
    sources = [source.strip() for source in options.data.split(",")]
    samples = join_samples([load_samples(each, split=options.split, limit=options.limit) for each in sources])
    present = sorted({label for label in samples.labels if label is not None})
    if not present:
        raise InputError(f"no labelled image in {samples.name}", "one or more")
    taxonomy = Taxonomy(samples.classes[label] for label in present)
    captions = class_captions(taxonomy)
    tables, image_sides = [], dict[str, str]()
    for model in map(load_image_and_text, options.models):
        tables.append(table(model, samples, taxonomy, captions, options.template))
        image_sides[model.id] = model.image_fingerprint
    frame = pd.concat(tables)
    print(frame.to_string(index=False, float_format="{:.3f}".format, na_rep="-"))
    print(*shared_sides(image_sides), sep="\n")
    if options.out:
        measured: dict[str, Any] = {"images": samples.images_fingerprint, "template": options.template}
        measured |= {"n_captions": len(captions.nodes), "image_sides": image_sides}
        write_json(options.out, measured | taxonomy.rules | {"rows": records(frame)})
        print(options.out)


def table(
    model: ImageAndText, samples: Samples, taxonomy: Taxonomy, captions: ClassCaptions, template: str
) -> pd.DataFrame:
    """A row for every measure: value, null and p; captions: those of the taxonomy's classes."""
    texts, labels = model.texts([*captions.written(template), ""]), list[int]()

    def labelled() -> Iterator[Image.Image]:
        for sample in tqdm(samples, total=len(samples), desc=model.id, unit="image"):
            if sample.wnid is not None:
                labels.extend(taxonomy.columns([sample.wnid]))
                yield sample.image

    images = model.images(labelled())
    measured = text_measures(images, np.array(labels), Captions(texts[:-1], texts[-1], captions.chains))
    rows = [
        {"model": model.id, "measure": name} | dict(zip(("value", "null", "p"), _three(one), strict=True))
        for name, one in measured.items()
    ]
    return pd.DataFrame(rows)


def shared_sides(image_sides: dict[str, str]) -> Sequence[str]:
    """A sentence for every set of models whose images are embedded by the same weights."""
    groups: dict[str, list[str]] = {}
    for id, fingerprint in image_sides.items():
        groups.setdefault(fingerprint, []).append(id)
    return [
        f"{' and '.join(ids)} have the same image side: SAEs of their images are the same, only texts differ."
        for ids in groups.values()
        if len(ids) > 1
    ]


def _three(one: Any) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if one is None else (one.value, one.null, one.p)

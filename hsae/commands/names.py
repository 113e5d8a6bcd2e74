"""Name latents after WordNet nodes, by rules that unseen images confirm.

Of the --choose images, most choose each latent's node and threshold, and a share of every class confirms or refuses it;
the --test images score the names and decide nothing. A source is whatever images are read from, with `:split` where it
has splits, or a folder of stored activations. The columns node ... named are written into the artifact.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.extras import on_disk
from hsae.artifacts.stores import check_store
from hsae.artifacts.tables import replace_tables
from hsae.comparison.match_latents import extract_for
from hsae.data.samples import Samples, load_samples
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import NameRule
from hsae.report.names import describe_names, labelled_images, name_layer, split_images

_SPLIT = re.compile(r"(?P<source>.+):(?P<split>[A-Za-z0-9_-]{2,})")  # two letters or more: C:\photos is a path
SHOWN = {
    "n_named": "named",
    "median_precision": "precision",
    "said": "said",
    "first_true": "first true",
    "first_bits": "bits",
    "best_bits": "best of 5",
}
"""Numbers that are printed, and their headings."""

Source = ActivationStore | Samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command can be told."""
    parser.add_argument("artifact", help="folder of an artifact")
    parser.add_argument("--choose", required=True, help="sources that choose and confirm, with commas between")
    parser.add_argument("--test", required=True, help="sources that test, with commas between")
    parser.add_argument("--confirm_share", type=float, default=0.25, help="of every class of the --choose images")
    parser.add_argument("--min_precision", type=float, default=NameRule.min_precision, help="on the confirm images")
    parser.add_argument("--min_lift", type=float, default=NameRule.min_lift, help="on the confirm images")
    parser.add_argument("--alpha", type=float, default=NameRule.alpha, help="q on the confirm images stays below it")
    parser.add_argument("--seed", type=int, default=NameRule.seed, help="of the split and the permutations")
    parser.add_argument("--work", type=Path, help="folder for extracted activations (default: beside the artifact)")


def run(options: argparse.Namespace) -> None:
    """Extract what is missing, name every layer, write and print."""
    rule = NameRule(options.alpha, options.min_precision, options.min_lift, seed=options.seed)
    if not 0 < options.confirm_share < 1:
        raise InputError(f"confirm_share {options.confirm_share}", "a share between 0 and 1")
    artifact = Artifact.load(options.artifact)
    folder = on_disk(artifact).resolve()
    given = {role: [text.strip() for text in getattr(options, role).split(",")] for role in ("choose", "test")}
    sources = {role: [_opened(artifact, text) for text in texts] for role, texts in given.items()}
    _check_apart(sources["choose"], sources["test"])
    work = options.work or folder.with_name(f"{folder.name}-names")
    stores = {role: [_stored(artifact, one, work) for one in opened] for role, opened in sources.items()}
    every = [*stores["choose"], *stores["test"]]
    taxonomy = Taxonomy(sorted({*artifact.classes, *(wnid for store in every for wnid in store.classes)}))
    choose, test = (labelled_images(stores[role], taxonomy) for role in ("choose", "test"))
    splits = split_images(choose, test, options.confirm_share, options.seed)
    named_layers = {
        layer: name_layer(artifact.sae(layer), layer, splits, rule) for layer in tqdm(artifact.layers, desc="layers")
    }
    said = describe_names(rule, options.confirm_share, splits, named_layers)
    said |= {role: [_short(text) for text in texts] for role, texts in given.items()}
    tables = {layer: named.onto(artifact.latents(layer)) for layer, named in named_layers.items()}
    print(replace_tables(folder, tables, {"names": said}))
    print(summary(said["layers"]))


def summary(layers: dict[str, Any]) -> str:
    """A line for every layer, the latents' numbers before those of random directions."""
    rows = {
        name: {heading: numbers[key] for key, heading in SHOWN.items()}
        | {f"random {heading}": numbers["random"][key] for key, heading in SHOWN.items()}
        for name, numbers in layers.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").to_string(float_format="{:.3f}".format, na_rep="-")


def _opened(artifact: Artifact, text: str) -> Source:
    """A store as it is, once it is known to fit; images listed, but not yet run."""
    if (Path(text) / "manifest.json").is_file():
        store = ActivationStore(text)
        check_store(artifact, store)
        return store
    match = None if Path(text).exists() else _SPLIT.fullmatch(text)
    return load_samples(match["source"], split=match["split"]) if match else load_samples(text)


def _stored(artifact: Artifact, source: Source, work: Path) -> ActivationStore:
    """Activations of a source, kept below `work` under its images' fingerprint."""
    if isinstance(source, ActivationStore):
        return source
    return extract_for(artifact, source, work / _images(source)[:16])


def _check_apart(choose: list[Source], test: list[Source]) -> None:
    """InputError unless no source is given twice: what chose a name may not score it."""
    fingerprints = [_images(source) for source in (*choose, *test)]
    if len(set(fingerprints)) != len(fingerprints):
        raise InputError("the same images twice among --choose and --test", "every source once, in one of the two")


def _images(source: Source) -> str:
    """What tells the images of a source; older stores only know images and labels together."""
    if isinstance(source, Samples):
        return source.images_fingerprint
    dataset = source.manifest.dataset
    return str(dataset.get("images", dataset["fingerprint"]))


def _short(text: str) -> str:
    """A source without the folders it lay in, which are nobody's business."""
    return Path(text).name

"""The names that a run gives its latents: chosen and confirmed on images set apart, scored on the held-out ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import NameRule
from hsae.report.names import NamedLayer, Splits, describe_names, labelled_images, name_layer, split_images
from hsae.sae.model import SparseAutoencoder
from training.stores import Stores

log = logging.getLogger("hsae.training")

RULE = NameRule()
CONFIRM_SHARE = 0.25
"""Of the choice images of every class."""


def name_settings() -> dict[str, Any]:
    """What decides the names besides the images."""
    return asdict(RULE) | {"confirm_share": CONFIRM_SHARE}


def name_splits(stores: Stores, taxonomy: Taxonomy | None) -> Splits | None:
    """Images that choose, confirm and test names; None where the run sets none apart, or too few."""
    if stores.choice is None or taxonomy is None:
        return None
    try:
        choose, test = (labelled_images([store], taxonomy) for store in (stores.choice, stores.heldout))
        return split_images(choose, test, CONFIRM_SHARE, RULE.seed)
    except InputError as error:
        log.warning("latents have no names: %s", error)
        return None


def name_run(
    layers: Iterable[str], saes: Mapping[str, SparseAutoencoder], splits: Splits | None
) -> dict[str, NamedLayer]:
    """Names of some layers; none at all where there are no images to choose them on."""
    if splits is None:
        return {}
    try:
        return {layer: name_layer(saes[layer], layer, splits, RULE) for layer in layers}
    except InputError as error:  # no node has few enough of the images
        log.warning("latents have no names: %s", error)
        return {}


def about_names(named: Mapping[str, NamedLayer], splits: Splits | None) -> dict[str, Any]:
    """The entry of hsae.json about names; empty without any."""
    if splits is None or not named:
        return {}
    sources = {"choose": ["training images set apart"], "test": ["held-out images"]}
    return {"names": describe_names(RULE, CONFIRM_SHARE, splits, named) | sources}

"""The last stage of a run: every layer probed and analysed, and everything put together as an artifact."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from hsae.activations.store import ActivationStore
from hsae.activations.stored_images import StoredImages
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.examples import rows_to_show, write_examples
from hsae.artifacts.documents.maps import write_maps
from hsae.artifacts.documents.profiles import LayerFiring, write_profiles
from hsae.artifacts.documents.starter import write_starter
from hsae.artifacts.documents.tree import write_tree
from hsae.artifacts.top_images_file import TopImages, strongest_photographs
from hsae.data.samples import Samples
from hsae.data.starter_photos import starter_samples
from hsae.hierarchy import Taxonomy
from hsae.measures.plain import significant
from hsae.report.firing_maps import FiringMapsFitter
from hsae.report.inputs import (
    MAX_TRAIN_BYTES,
    LabelledActivations,
    LayerInputs,
    Surroundings,
    in_memory,
    some_images,
)
from hsae.report.layer import RULES, LayerReport, report_layer
from hsae.report.names import Splits
from hsae.report.tree import LayerStructure
from hsae.sae.model import SparseAutoencoder
from hsae.steering.nearest import PhotoBank
from hsae.version import __version__
from training.disks import Disk
from training.looks import class_groups, describe_encoder, second_encoder
from training.names import about_names, name_run, name_settings, name_splits
from training.random_baseline import open_random_run, random_layer
from training.run_config import RunConfig
from training.stores import Stores

Of = TypeVar("Of")

NO_RULES: dict[str, Any] = {"tau": None, "q": None, "nulls": []}
"""Of an artifact without classes, for which none were chosen."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a run has found when its analysis begins."""

    stores: Stores
    saes: Mapping[str, SparseAutoencoder]
    """By layer."""
    neurons: Mapping[str, Tensor | None]
    """What the MLP's hidden neurons add to the activations, by layer (Backbone.mlp_output)."""
    grids: Mapping[str, tuple[int, int] | None]
    """Rows and columns of the patches that SAEs read, by layer; None where they are no such, none for other tokens."""
    heldout_images: Samples
    """Those of the held-out activations."""


def build_artifact(config: RunConfig, found: Found, disk: Disk) -> Artifact | None:
    """Probe and analyse every layer, each process its share; the first has all together, the others None."""
    stores, saes = found.stores, found.saes
    classes = stores.heldout.classes
    taxonomy = Taxonomy(classes) if classes else None
    with disk.main_process_first():  # the first writes what the others then read
        encoder = second_encoder(config, stores.heldout, disk.device)
        around = _surroundings(config, stores.heldout, encoder)
    splits = name_splits(stores, taxonomy)
    analysis = _Analysis(config, stores, taxonomy, around, splits)
    own = list(saes)[disk.process_index :: disk.num_processes]
    shown = tqdm(own, desc="analysis", unit="layer", disable=not disk.is_main_process)
    reports = _of_all_layers({name: analysis.layer(name, found) for name in shown}, saes, disk)
    named = _of_all_layers(name_run(own, saes, splits), saes, disk)
    if not disk.is_main_process:
        return None
    starter_keys = [starter_samples().key(row) for row in stores.starter.rows.tolist()]
    top_images = {name: _top_images(report, stores, starter_keys) for name, report in reports.items()}
    return Artifact.from_parts(
        backbone=stores.train.manifest.backbone | {"token": config.token},
        dataset=describe_dataset(config, stores.n_images, classes),
        taxonomy=_rules(config, taxonomy, encoder) | about_names(named, splits),
        saes=saes,
        latents={
            name: named[name].onto(report.latents) if name in named else report.latents
            for name, report in reports.items()
        },
        top_images=top_images,
        probes={name: report.probe for name, report in reports.items() if report.probe is not None},
        curves={name: significant(report.curves, 6) for name, report in reports.items()},
        tree={} if taxonomy is None else write_tree(taxonomy, _structures(reports)),
        extras={
            "profiles": write_profiles(
                {name: _firing(report, stores) for name, report in reports.items()}, starter_keys
            ),
            "starter": write_starter(_starter_bank(config, stores.starter, starter_keys)),
            **_maps(found, stores.starter, top_images, starter_keys),
            **_examples(config, found.heldout_images, stores.heldout.rows.tolist(), reports),
        },
    )


@dataclass(frozen=True, eq=False)
class _Analysis:
    """What the analyses of all layers share."""

    config: RunConfig
    stores: Stores
    taxonomy: Taxonomy | None
    around: Surroundings
    splits: Splits | None

    def layer(self, name: str, found: Found) -> LayerReport:
        """One layer's report."""
        stores, tau = self.stores, self.config.tau
        random_run = open_random_run(self.config, stores.heldout.classes)
        here = replace(self.around, neurons=found.neurons[name], baselines=random_layer(random_run, name))
        train = _training(stores.train, name, self.config.most_probed)
        heldout = _labelled(stores.heldout, name)
        choice = _choice(stores, self.splits, name, self.config.most_probed)
        inputs = LayerInputs(found.saes[name], train, heldout, self.taxonomy, tau, here, choice)
        return report_layer(inputs, stores.starter.layer(name))


def _of_all_layers(found: dict[str, Of], layers: Iterable[str], disk: Disk) -> dict[str, Of]:
    """What all processes found, by layer, in the order of the layers."""
    merged = {name: value for part in disk.gather(found) for name, value in part.items()}
    return {name: merged[name] for name in layers if name in merged}


def _surroundings(config: RunConfig, heldout: ActivationStore, encoder: ActivationStore | None) -> Surroundings:
    """What all layers are measured with."""
    return Surroundings(
        embeddings=_embeddings(heldout),
        other_embeddings=None if encoder is None else _embeddings(encoder),
        groups=class_groups(config, heldout) if heldout.classes else None,
    )


def _rules(config: RunConfig, taxonomy: Taxonomy | None, encoder: ActivationStore | None) -> dict[str, Any]:
    """By what rules classes were chosen for latents, and which second encoder looked at their images."""
    rules = NO_RULES if taxonomy is None else taxonomy.rules | RULES | {"tau": config.tau}
    return rules if encoder is None else rules | {"second_encoder": describe_encoder(encoder)}


def describe_dataset(config: RunConfig, n_images: int, classes: tuple[str, ...]) -> dict[str, Any]:
    """What the artifact says of the images it was made from."""
    return {
        "id": config.dataset_name or config.data,
        "split": config.heldout_split or f"{config.heldout_share:.0%} set apart",
        "n_images": n_images,
        "classes": list(classes),
    }


def _structures(reports: dict[str, LayerReport]) -> dict[str, LayerStructure]:
    return {name: report.structure for name, report in reports.items() if report.structure is not None}


def analysis_settings(config: RunConfig, stores: Stores) -> dict[str, Any]:
    """What decides an artifact besides its SAEs: when this is unchanged, it need not be built again."""
    random_run = open_random_run(config, stores.heldout.classes)
    probes = {} if config.most_probed is None else {"probe_images": config.most_probed}
    return probes | {
        "hsae_version": __version__,
        "rules": RULES,
        "tau": config.tau,
        "second_encoder": config.second_encoder,
        "random_backbone": None if random_run is None else random_run.sha256,
        "artifact_dtype": config.artifact_dtype,
        **({"examples": [config.examples, config.examples_licence, config.examples_source]} if config.examples else {}),
        "dataset_name": config.dataset_name,
        "labels": [store.labelling for store in (stores.train, stores.heldout, stores.choice) if store is not None],
        "names": None if stores.choice is None else name_settings(),
    }


def _examples(
    config: RunConfig, images: Samples, rows: Sequence[int], reports: dict[str, LayerReport]
) -> dict[str, Any]:
    """The document of thumbnails, where the run is told to keep any; rows: of the held-out images in their split."""
    if not config.examples:
        return {}
    latents = (
        (top.tolist(), weaker)
        for report in reports.values()
        for top, weaker in zip(report.top_heldout.images, report.weaker_heldout, strict=True)
    )
    chosen = (rows[image] for image in rows_to_show(latents, config.examples))
    shown = ((row, images.read(row).image) for row in chosen)
    return {"examples": write_examples(shown, config.examples_licence, config.examples_source)}


def _starter_bank(config: RunConfig, store: ActivationStore, keys: list[str]) -> PhotoBank:
    """The starter photographs at the last layer, as the app compares them."""
    last = list(store.layers)[-1]
    return PhotoBank(last, "cls" if config.token == "cls" else "mean", tuple(keys), store.layer(last).mean(1))


def _maps(
    found: Found, store: ActivationStore, top_images: Mapping[str, TopImages], keys: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Where latents of patches fire in the starter photographs, as a document of the artifact."""
    fitters = {
        name: FiringMapsFitter(found.saes[name], strongest_photographs(top_images[name]), grid)
        for name, grid in found.grids.items()
        if grid
    }
    for name, fitter in fitters.items():
        for key, patches in zip(keys, store.layer(name), strict=True):
            fitter.update(key, patches)
    return {"maps": write_maps({name: fitter.compute() for name, fitter in fitters.items()})} if fitters else {}


def _embeddings(store: ActivationStore) -> Tensor:
    """One vector per image `[n_images, d]`: its last layer, averaged over the tokens there are."""
    return store.layer(list(store.layers)[-1]).mean(1)


def _training(store: ActivationStore, layer: str, most: int | None) -> LabelledActivations | StoredImages:
    """A layer's training activations of at most so many images: in memory, or on the disk where they are many."""
    images = some_images(len(store), most)
    stored = StoredImages(store, layer, images, store.labels[images])
    return in_memory(stored) if 4 * len(stored) * store.layers[layer] <= MAX_TRAIN_BYTES else stored


def _labelled(store: ActivationStore, layer: str) -> LabelledActivations:
    """A layer's activations with the labels of their images."""
    return LabelledActivations(store.layer(layer), store.labels)


def _choice(stores: Stores, splits: Splits | None, layer: str, most: int | None = None) -> LabelledActivations | None:
    """The images that choose names choose penalties and temperatures of probes too; those that confirm do not."""
    if stores.choice is None or splits is None:
        return None
    images = torch.from_numpy(splits.choice.images)
    images = images[some_images(len(images), most)]
    return LabelledActivations(stores.choice.layer(layer, images), stores.choice.labels[images])


def _firing(report: LayerReport, stores: Stores) -> LayerFiring:
    """What the cards of a layer draw, its images by row of the held-out data set."""
    rows = stores.heldout.rows.tolist()
    weaker = [images.renumbered(rows) for images in report.weaker_heldout]
    return LayerFiring(report.profiles, report.together, weaker, report.weaker_starter)


def _top_images(report: LayerReport, stores: Stores, starter_keys: list[str]) -> TopImages:
    """Top images by row of the held-out data set and by key of the starter photograph."""
    rows = stores.heldout.rows.tolist()
    pairs = zip(
        report.top_heldout.images,
        report.top_heldout.activations,
        report.top_starter.images,
        report.top_starter.activations,
        strict=True,
    )
    return [
        {
            "dataset": [[rows[i], significant(float(v), 3)] for i, v in zip(images, values, strict=True)],
            "starter": [[starter_keys[i], significant(float(v), 3)] for i, v in zip(keys, strengths, strict=True)],
        }
        for images, values, keys, strengths in pairs
    ]

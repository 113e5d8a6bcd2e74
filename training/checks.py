"""Everything that can be known to be wrong with a run before its first image is decoded, all of it at once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, imported without `as`

from hsae.activations.extraction import shape_per_image
from hsae.artifacts.documents.examples import check_rights
from hsae.artifacts.index import check_dataset
from hsae.backbones.base import Backbone
from hsae.backbones.hub import hub_answers
from hsae.backbones.registry import load_backbone
from hsae.data.samples import Samples
from hsae.errors import HsaeError, InputError
from hsae.hierarchy import wordnet
from hsae.sae.config import TrainConfig
from training.build import describe_dataset
from training.random_baseline import open_random_run
from training.run_config import RunConfig
from training.stores import Split, splits

log = logging.getLogger("hsae.training")


def checked_splits(config: RunConfig, train: TrainConfig, backbone: Backbone) -> Split:
    """The images of the run, once nothing is wrong with it; else the error, or an InputError that lists them all."""
    problems: list[HsaeError] = []
    split = None
    with _noted(problems):
        split = splits(config)
    with _noted(problems):
        _check_settings(config)
    with _noted(problems):
        _check_destination(config)
    if config.second_encoder is not None:
        with _noted(problems):
            load_backbone(config.second_encoder)
    if split is not None:
        for check in (_check_classes, _check_amounts):
            with _noted(problems):
                check(config, split)
        with _noted(problems):
            _check_batch(config, train, split, backbone)
        with _noted(problems):
            open_random_run(config, split.heldout.classes)
    if split is None or problems:
        raise problems[0] if len(problems) == 1 else _together(problems)
    return split


@contextmanager
def _noted(problems: list[HsaeError]) -> Iterator[None]:
    """An error inside becomes one of the problems, which are raised together."""
    try:
        yield
    except HsaeError as error:
        problems.append(error)


def _together(problems: list[HsaeError]) -> InputError:
    each = "".join(f"\n  - {error}" for error in problems)
    return InputError(f"{len(problems)} things are wrong with this run:{each}\n", do="Nothing was computed yet.")


def _check_settings(config: RunConfig) -> None:
    if not 0 < config.tau <= 1:
        raise InputError(f"tau {config.tau}", "a share above 0, at most 1")
    if config.artifact_dtype not in ("float16", "float32"):
        raise InputError(f"artifact_dtype {config.artifact_dtype!r}", "float16 or float32")
    if config.examples:
        check_rights(config.examples, config.examples_licence, config.examples_source)


def _check_destination(config: RunConfig) -> None:
    """A name the Hub would take, and words that hsae.json may hold."""
    check_dataset(describe_dataset(config, 1, ()))
    if config.push_to_hub is None:
        return
    try:
        validate_repo_id(config.push_to_hub)
    except HFValidationError as error:
        raise InputError(f"--push_to_hub {config.push_to_hub}", "a Hub model, org/name") from error
    if get_token() is None or not hub_answers(config.push_to_hub):
        got = "no token to push with" if get_token() is None else "a Hub that does not answer"
        do = "Log in with `hf auth login`, or leave --push_to_hub out and push the artifact when it is done."
        raise InputError(f"--push_to_hub {config.push_to_hub} with {got}", "a connection and a token", do)


def _check_classes(config: RunConfig, split: Split) -> None:
    """Every class is a noun of WordNet; where classes were asked for, images are under them."""
    wordnet().require(split.heldout.classes)
    if config.classes is not None and not split.heldout.classes:
        do = "Name others, or give the images labels: --label_map."
        raise InputError(f"no image of {config.data} is under {config.classes}", "classes that lie above its own", do)


def _check_amounts(config: RunConfig, split: Split) -> None:
    """There are images on both sides and, where there are classes, images of a class; what is rare is logged."""
    sides = {"train": split.train, "measure": split.heldout}
    empty = [name for name, images in sides.items() if images.expected == 0]
    if empty:
        got = f"{config.data} leaves no images to {' and to '.join(empty)} on"
        raise InputError(got, "at least one each", "Give more images, or another heldout_share.")
    classes = split.heldout.classes
    for name, images in sides.items():
        if not classes or not isinstance(images, Samples):
            continue
        count = Counter(label for label in images.labels if label is not None)
        if not count:
            do = "Give more of them labels, another heldout_share, or --label_map none."
            raise InputError(f"no image to {name} on has a label, of {len(images)}", "at least one", do)
        without = [wnid for place, wnid in enumerate(classes) if not count[place]]
        if without:
            log.warning("%d of %d classes have no image to %s on: %s", len(without), len(classes), name, without[:10])


def _check_batch(config: RunConfig, train: TrainConfig, split: Split, backbone: Backbone) -> None:
    """The training images make at least one batch; layers and token are the backbone's."""
    tokens = min(shape_per_image(backbone, name, config.token)[0] for name in backbone.layer_names(config.layer_names))
    n_images = split.train.expected
    if n_images is not None and n_images * tokens < train.batch_size:
        got = f"batch_size {train.batch_size} for {n_images} training images of {tokens} token(s)"
        raise InputError(got, f"at most {n_images * tokens}", "Choose a smaller batch_size, or give more images.")

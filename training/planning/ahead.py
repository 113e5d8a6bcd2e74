"""The plan of a run somewhere else, from its flags alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hsae.backbones.base import Backbone
from hsae.backbones.registry import REGISTRY, SUFFIX, load_backbone
from hsae.data.known_classes import KNOWN, known_classes
from hsae.data.samples import load_samples
from hsae.errors import InputError
from training.planning.costs import Asked
from training.planning.machine import parse_machine, this_machine
from training.planning.plan import Plan, plan_run
from training.planning.rates import given_rates, timed_rates
from training.planning.shape import Images, count_images, shape_of
from training.run_config import RunConfig
from training.settings import flags_of, parse
from training.stores import CHOICE_SHARE, ENOUGH, splits


def plan_ahead(flags: Sequence[str], images: str | None, machine: str | None, tflops: float | None) -> Plan:
    """The plan of train.py's flags; nothing of the backbone is read but its settings.

    images: "TRAIN,HELDOUT", counted where None; machine: None for this one; tflops: of a GPU, timed here where None.
    """
    settings = parse(flags_of(flags))
    config, sae, train = settings
    there = parse_machine(machine) if machine else this_machine(Path(config.run))
    backbone = _architecture(config, timed=tflops is None)
    shape = shape_of(config, sae, backbone, _images(config, images))
    rates = given_rates(shape, tflops * 1e12) if tflops else timed_rates(backbone, shape, settings)
    return plan_run(Asked(config, sae, train, shape, there.processes, bool(there.devices)), there, rates)


def _architecture(config: RunConfig, timed: bool) -> Backbone:
    """The backbone with random weights; with shapes alone where it is not timed and comes from transformers."""
    name = config.backbone.removesuffix(SUFFIX)
    device = "cpu" if timed or name in REGISTRY else "meta"
    return load_backbone(name + SUFFIX, image_size=config.image_size, device=device)


def _images(config: RunConfig, given: str | None) -> Images:
    if given is None:
        return count_images(config, splits(config))
    try:
        train, heldout = (int(part) for part in given.split(","))
    except ValueError:
        raise InputError(f"--images {given!r}", "two numbers, such as 1281167,50000") from None
    known = [source.label_map for source in config.sources if source.label_map in KNOWN]
    classes = len(known_classes(known[0])) if known else 0
    share = CHOICE_SHARE if classes and train >= ENOUGH * classes else 0.0
    apart = round((share if config.choice_share is None else config.choice_share) * train)
    return Images(train - apart, heldout, apart, len(load_samples("starter")), classes)

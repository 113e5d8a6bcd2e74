"""No run on activations that another model's run was trained on: a fine-tune may keep its image side as it was.

So does RE-CLIP (Alper and Averbuch-Elor 2024). A fingerprint is of the weights of the image side alone, bit for bit.
"""

from __future__ import annotations

import logging
from pathlib import Path

from hsae.activations.store import read_manifest
from hsae.backbones.base import Backbone
from hsae.backbones.registry import load_backbone
from hsae.errors import InputError, StoreError
from training.run_config import RunConfig

log = logging.getLogger("hsae.training")


def refuse_twin(config: RunConfig, backbone: Backbone) -> None:
    """InputError when `base_backbone`, or a model of another name in a run beside this one, has the same weights."""
    if config.base_backbone:
        base = load_backbone(config.base_backbone, image_size=config.image_size)
        if base.fingerprint == backbone.fingerprint:
            raise _twin(backbone, f"{base.id}, whose SAEs are SAEs of {backbone.id} too")
    for folder in sorted(Path(config.run).absolute().parent.glob("*/activations/train")):
        run = folder.parents[1]
        if run.name != Path(config.run).absolute().name and _is_twin(folder, config, backbone):
            raise _twin(backbone, f"the backbone of the run {run}, whose SAEs are SAEs of {backbone.id} too")


def _is_twin(folder: Path, config: RunConfig, backbone: Backbone) -> bool:
    """Whether a store is of the same weights under another name, and of the same token of images of the same size."""
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        log.info("Not compared with the run beside this one: %s", error)
        return False
    same = (manifest.backbone.get("weights_sha256"), manifest.backbone.get("image_size"), manifest.token) == (
        backbone.fingerprint,
        config.image_size,
        config.token,
    )
    return same and manifest.backbone.get("id") != backbone.id


def _twin(backbone: Backbone, what: str) -> InputError:
    return InputError(
        f"{backbone.id} has the same vision weights as {what}",
        "a model that sees images in another way",
        "Its activations are identical: use what is there, or choose a run folder elsewhere to train once more.",
    )

"""Load a backbone in transformers' format from the Hub or a folder: safetensors only, no code that comes with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from hsae.backbones.base import Preprocessing
from hsae.backbones.families import FAMILIES, TRANSFORMERS
from hsae.backbones.heads import HEADS
from hsae.backbones.hf import HFBackbone, HFConvNet, family_of
from hsae.backbones.hf_architectures import untrained_hf_backbone
from hsae.backbones.hf_pixels import read_preprocessing
from hsae.backbones.hub import settled
from hsae.errors import BackboneError, HsaeError

MAX_BLOCKS = 512  # the deepest vision models have 48
_WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "patch_size": ("one number of pixels, 1 or more", lambda value: type(value) is int and value >= 1),
    "num_channels": ("3, for red, green and blue", lambda value: value == 3),
    "num_hidden_layers": (f"1 to {MAX_BLOCKS}", lambda value: type(value) is int and 1 <= value <= MAX_BLOCKS),
    "depths": (f"1 to {MAX_BLOCKS} blocks a stage", lambda value: _all_of(value, MAX_BLOCKS)),
    "quantization_config": ("none: weights that are not quantised", lambda value: value is None),
}
"""What a model's settings must be where its config.json states them, and a test; defaults of transformers are so."""


def load_hf_backbone(
    id: str,
    *,
    revision: str | None = None,
    image_size: int = 224,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> HFBackbone | HFConvNet:
    """Load a backbone from a Hub id or local folder in transformers' format (safetensors only, no code from the Hub).

    Of CLIP and SigLIP only the vision tower is loaded. Raises BackboneError when it cannot be read, with what to do.
    """
    backbone = read_hf_backbone(id, id, image_size, revision=revision)
    backbone.cast(dtype)
    backbone.model.to(device)
    return backbone


def read_hf_backbone(
    id: str, source: str | Path, preprocessing: Preprocessing | int, *, revision: str | None = None
) -> HFBackbone | HFConvNet:
    """The backbone called `id` that lies at `source`, in float32 on the CPU; BackboneError when it cannot be read.

    preprocessing: an image size leaves the rest of it to the model's image processor.
    """
    with readable(str(source)):
        return _load(id, str(source), revision, preprocessing)


def untrained_or_error(id: str, **options: Any) -> HFBackbone | HFConvNet:
    """`untrained_hf_backbone`, whose errors are BackboneErrors that say what to do."""
    with readable(id):
        return untrained_hf_backbone(id, **options)


@contextmanager
def readable(where: str) -> Iterator[None]:
    """What reading a model may raise, as a BackboneError that says what to do."""
    try:
        yield
    except HsaeError:
        raise
    except Exception as error:  # transformers has no one kind of error for what a folder may hold
        raise _unreadable(where, " ".join(str(error).split())[:300] or type(error).__name__) from error


def _load(id: str, where: str, revision: str | None, preprocessing: Preprocessing | int) -> HFBackbone | HFConvNet:
    hub = None if Path(where).is_dir() else settled(where, revision)
    options: dict[str, Any] = {**hub} if hub else {}
    _check_settings(id, PretrainedConfig.get_config_dict(where, **options)[0])
    config = AutoConfig.from_pretrained(where, trust_remote_code=False, **options)
    if isinstance(preprocessing, int):
        preprocessing = read_preprocessing(where, config, preprocessing, **options)
    model = _load_model(where, config, options)
    kind = HFBackbone if config.model_type in TRANSFORMERS else HFConvNet
    return kind(id, model, preprocessing, hub and hub["revision"])


def _check_settings(id: str, config: dict[str, Any]) -> None:
    """BackboneError naming all settings that no backbone here can have, before anything is made of them."""
    family_of(id, str(config.get("model_type", "unknown")), FAMILIES)
    vision = config.get("vision_config")
    settings = config | (vision if isinstance(vision, dict) else {})
    wrong = [name for name, (_, is_so) in _WANTED.items() if name in settings and not is_so(settings[name])]
    if wrong:
        raise BackboneError(
            f"The config.json of {id} has " + ", ".join(f"{name} = {settings[name]!r:.80}" for name in wrong),
            "; ".join(f"{name}: {_WANTED[name][0]}" for name in wrong),
            "Choose another model, or one saved with other settings.",
        )


def _all_of(depths: object, most: int) -> bool:
    return isinstance(depths, list) and all(type(depth) is int and 1 <= depth <= most for depth in depths)


def _unreadable(where: str, why: str) -> BackboneError:
    if Path(where).is_dir():
        do = "Download the model again, or use dinov2-small-focus, which needs no Hub."
    else:
        do = (
            "Check the name and the connection; a gated model wants its licence accepted on its page and `hf auth "
            f"login`. Without a connection, bring a folder made elsewhere by `hf download {where} --local-dir FOLDER` "
            "and give that, or use dinov2-small-focus or efficientnet-lite0, which need no Hub."
        )
    examples = ", ".join(sorted({family.example for family in FAMILIES.values()}))
    return BackboneError(
        f"Backbone {where!r} could not be loaded: {why}",
        f"a folder with config.json and model.safetensors, or a Hub id such as {examples}",
        do,
    )


def _load_model(where: str, config: PretrainedConfig, hub: Mapping[str, Any]) -> PreTrainedModel:
    family = FAMILIES[config.model_type]
    (architecture, *_) = config.architectures or [""]
    name, options = (architecture, {}) if architecture in HEADS else (family.model, family.load_options)
    return read_weights(where, name, {**hub, **options})


def read_weights(where: str, name: str, options: Mapping[str, Any]) -> PreTrainedModel:
    """The model of a class of transformers in float32, whatever it is stored in, so that its fingerprint is always of
    the same bytes; BackboneError where weights are missing.
    """
    with _no_report():
        model, report = getattr(transformers, name).from_pretrained(
            where,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            **options,
        )
    missing = sorted({*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])})
    if missing:
        raise BackboneError(
            f"The weights of {where!r} lack {len(missing)} tensors, or have them in another shape, first "
            f"{', '.join(missing[:3])}",
            f"all weights of a {model.config.model_type} model",
            "Download the model again.",
        )
    return model


@contextmanager
def _no_report() -> Iterator[None]:
    """Without transformers' warning that names all tensors left unread: text towers and decoders are so on purpose."""
    log = logging.getLogger("transformers.modeling_utils")

    def keep(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    log.addFilter(keep)
    try:
        yield
    finally:
        log.removeFilter(keep)

"""Load a backbone in transformers' format from the Hub or a folder: safetensors only, no code that comes with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, PretrainedConfig
from transformers.utils import cached_file

from hsae.backbones.base import Preprocessing
from hsae.backbones.families import FAMILIES, TRANSFORMERS
from hsae.backbones.heads import HEADS
from hsae.backbones.hf import HFBackbone, HFConvNet, family_of
from hsae.errors import BackboneError


def load_hf_backbone(
    id: str,
    *,
    source: str | Path | None = None,
    revision: str | None = None,
    image_size: int = 224,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> HFBackbone | HFConvNet:
    """Load a backbone from a Hub id or local folder in transformers' format (safetensors only, no code from the Hub).

    source: folder to read instead of `id`. Of CLIP and SigLIP only the vision tower is loaded.
    Raises BackboneError when it cannot be read, with what to do.
    """
    where = str(id if source is None else source)
    try:
        config = AutoConfig.from_pretrained(where, revision=revision, trust_remote_code=False)
        family_of(id, config.model_type, FAMILIES)  # before the weights are fetched
        model = _load_model(where, revision, config)
        preprocessing = _preprocessing(where, revision, image_size)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise _unreadable(where, error) from error
    kind = HFBackbone if config.model_type in TRANSFORMERS else HFConvNet
    backbone = kind(id, model, preprocessing, getattr(config, "_commit_hash", None))
    backbone.cast(dtype)
    backbone.model.to(device)
    return backbone


def _unreadable(where: str, error: Exception) -> BackboneError:
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
        f"Backbone {where!r} could not be loaded: {error}",
        f"a folder with config.json and model.safetensors, or a Hub id such as {examples}",
        do,
    )


def _load_model(where: str, revision: str | None, config: PretrainedConfig) -> nn.Module:
    """The model in float32, whatever it is stored in, so that its fingerprint is always of the same bytes."""
    family = FAMILIES[config.model_type]
    (stated, *_) = config.architectures or [""]
    name, options = (stated, {}) if stated in HEADS else (family.model, family.load_options)
    with _no_report():
        model, report = getattr(transformers, name).from_pretrained(
            where,
            revision=revision,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    missing = sorted(report["missing_keys"])
    if missing:
        raise BackboneError(
            f"The weights of {where!r} lack {len(missing)} tensors, first {', '.join(missing[:3])}",
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


def _preprocessing(where: str, revision: str | None, image_size: int) -> Preprocessing:
    """Mean and std the model was trained with, when its preprocessor_config.json says so; ImageNet's otherwise."""
    path = cached_file(
        where, "preprocessor_config.json", revision=revision, _raise_exceptions_for_missing_entries=False
    )
    stated: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    chosen = {key: tuple(stated[f"image_{key}"]) for key in ("mean", "std") if f"image_{key}" in stated}
    return Preprocessing(image_size=image_size, **chosen)

"""Backbones that transformers knows: one class, and a table with one row per family."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AutoConfig, AutoModel, PretrainedConfig

from hsae.backbones.base import Backbone, LayerSpec, Preprocessing
from hsae.backbones.hooks import recordable_attention
from hsae.errors import BackboneError

AttentionInterface.register("hsae_recordable", recordable_attention)


@dataclass(frozen=True)
class Family:
    """Where one family of transformers models keeps its parts."""

    blocks: str
    """Attribute path of the list of blocks."""
    embed: Callable[[nn.Module, Tensor], Tensor]
    """Pixels to the tokens that enter the first block."""
    n_prefix: Callable[[PretrainedConfig], int]
    """Class token plus registers."""


FAMILIES: dict[str, Family] = {
    "dinov2": Family("encoder.layer", lambda model, pixels: model.embeddings(pixels), lambda config: 1),
    "dinov2_with_registers": Family(
        "encoder.layer", lambda model, pixels: model.embeddings(pixels), lambda config: 1 + config.num_register_tokens
    ),
}


class HFBackbone(Backbone):
    """A frozen vision transformer from transformers; layer `block_NN` is the output of the NN-th block (1-based)."""

    def __init__(self, id: str, model: nn.Module, preprocessing: Preprocessing, revision: str | None = None) -> None:
        config = model.config
        if config.model_type not in FAMILIES:
            raise BackboneError(
                f"{id} is a {config.model_type!r} model", f"one of {', '.join(sorted(FAMILIES))}", "Choose another backbone."
            )
        model.set_attn_implementation("hsae_recordable")
        self.id, self.revision, self.preprocessing = id, revision, preprocessing
        self.model = model.eval().requires_grad_(False)
        self._family = FAMILIES[config.model_type]
        self._blocks = attrgetter(self._family.blocks)(model)
        n_prefix = self._family.n_prefix(config)
        names = [f"block_{number:02d}" for number in range(1, len(self._blocks) + 1)]
        self.layers = {name: LayerSpec(name, config.hidden_size, n_prefix) for name in names}

    def embed(self, pixels: Tensor) -> Tensor:
        return self._family.embed(self.model, pixels)

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        return {name: partial(_block_output, block) for name, block in zip(self.layers, self._blocks, strict=True)}

    def tokens(self, state: Tensor) -> Tensor:
        return state

    def state(self, tokens: Tensor) -> Tensor:
        return tokens

    def grid(self, layer: str, height: int, width: int) -> tuple[int, int]:
        patch = self.model.config.patch_size
        return height // patch, width // patch


def _block_output(block: nn.Module, tokens: Tensor) -> Tensor:
    """Run one block; some families return a tuple whose first entry is the tokens."""
    output = block(tokens)
    return output[0] if isinstance(output, tuple) else output


def load_hf_backbone(
    id: str,
    *,
    source: str | Path | None = None,
    revision: str | None = None,
    image_size: int = 224,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> HFBackbone:
    """Load a backbone from a Hub id or local folder in transformers' format (safetensors only).

    Raises BackboneError when it cannot be read, with what to do.
    """
    where = str(id if source is None else source)
    try:
        config = AutoConfig.from_pretrained(where, revision=revision)
        model, report = AutoModel.from_pretrained(
            where, revision=revision, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise BackboneError(
            f"Backbone {where!r} could not be loaded: {error}",
            "a folder with config.json and model.safetensors, or a Hub id such as facebook/dinov2-small",
            "Check the name and the connection, or use dinov2-small-focus, which needs no Hub.",
        ) from error
    if report["missing_keys"]:
        raise BackboneError(
            f"The weights of {where!r} lack {len(report['missing_keys'])} tensors, first {sorted(report['missing_keys'])[:3]}",
            f"all weights of a {config.model_type} model",
            "Download the model again.",
        )
    preprocessing = _preprocessing(where, revision, image_size)
    return HFBackbone(id, model.to(device), preprocessing, getattr(config, "_commit_hash", None))


def _preprocessing(where: str, revision: str | None, image_size: int) -> Preprocessing:
    """Mean and std the model was trained with, when its preprocessor_config.json says so; ImageNet's otherwise."""
    from transformers.utils import cached_file

    path = cached_file(where, "preprocessor_config.json", revision=revision, _raise_exceptions_for_missing_entries=False)
    stated: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    chosen = {key: tuple(stated[f"image_{key}"]) for key in ("mean", "std") if f"image_{key}" in stated}
    return Preprocessing(image_size=image_size, **chosen)

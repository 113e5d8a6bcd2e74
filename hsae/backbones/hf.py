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
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AttentionInterface, AutoConfig, AutoModel, PretrainedConfig
from transformers.utils import cached_file

from hsae.backbones.base import Backbone, LayerSpec, Preprocessing
from hsae.backbones.hooks import recordable_attention
from hsae.errors import BackboneError, InputError

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
    mlp_output: Callable[[nn.Module], Tensor]
    """Of one block: what its hidden neurons add to the tokens, `[n_neurons, d_in]`."""


def _scaled_mlp_output(block: nn.Module) -> Tensor:
    """Columns of the MLP's last matrix, after the layer scale that DINOv2 puts behind it."""
    last = block.mlp.down_proj if hasattr(block.mlp, "down_proj") else block.mlp.fc2  # SwiGLU or plain
    return last.weight.T * block.layer_scale2.lambda1


FAMILIES: dict[str, Family] = {
    "dinov2": Family(
        "encoder.layer", lambda model, pixels: model.embeddings(pixels), lambda config: 1, _scaled_mlp_output
    ),
    "dinov2_with_registers": Family(
        "encoder.layer",
        lambda model, pixels: model.embeddings(pixels),
        lambda config: 1 + config.num_register_tokens,
        _scaled_mlp_output,
    ),
}


class HFBackbone(Backbone):
    """A frozen vision transformer from transformers; layer `block_NN` is the output of the NN-th block (1-based)."""

    def __init__(self, id: str, model: nn.Module, preprocessing: Preprocessing, revision: str | None = None) -> None:
        config = model.config
        self._family = _family(id, config)
        if preprocessing.image_size < config.patch_size:
            raise InputError(
                f"image_size {preprocessing.image_size}", f"at least one patch, {config.patch_size} pixels"
            )
        model.set_attn_implementation("hsae_recordable")
        self.id, self.revision, self.preprocessing = id, revision, preprocessing
        self.model = model.eval().requires_grad_(False)
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

    def mlp_output(self, layer: str) -> Tensor:
        (name,) = self.layer_names([layer])
        return self._family.mlp_output(self._blocks[list(self.layers).index(name)])


def _family(id: str, config: PretrainedConfig) -> Family:
    if config.model_type not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise BackboneError(
            f"{id} is a model of type {config.model_type!r}", f"one of {known}", "Choose another backbone."
        )
    return FAMILIES[config.model_type]


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
    """Load a backbone from a Hub id or local folder in transformers' format (safetensors only, no code from the Hub).

    source: folder to read instead of `id`. Raises BackboneError when it cannot be read, with what to do.
    """
    where = str(id if source is None else source)
    try:
        config = AutoConfig.from_pretrained(where, revision=revision, trust_remote_code=False)
        _family(id, config)  # before the weights are fetched
        model = _load_model(where, revision)
        preprocessing = _preprocessing(where, revision, image_size)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise BackboneError(
            f"Backbone {where!r} could not be loaded: {error}",
            "a folder with config.json and model.safetensors, or a Hub id such as facebook/dinov2-small",
            "Check the name and the connection, or use dinov2-small-focus, which needs no Hub.",
        ) from error
    backbone = HFBackbone(id, model, preprocessing, getattr(config, "_commit_hash", None))
    backbone.cast(dtype)
    backbone.model.to(device)
    return backbone


def _load_model(where: str, revision: str | None) -> nn.Module:
    """The model in float32, whatever it is stored in, so that its fingerprint is always of the same bytes."""
    model, report = AutoModel.from_pretrained(
        where,
        revision=revision,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise BackboneError(
            f"The weights of {where!r} lack {len(missing)} tensors, first {', '.join(missing[:3])}",
            f"all weights of a {model.config.model_type} model",
            "Download the model again.",
        )
    return model


def _preprocessing(where: str, revision: str | None, image_size: int) -> Preprocessing:
    """Mean and std the model was trained with, when its preprocessor_config.json says so; ImageNet's otherwise."""
    path = cached_file(
        where, "preprocessor_config.json", revision=revision, _raise_exceptions_for_missing_entries=False
    )
    stated: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    chosen = {key: tuple(stated[f"image_{key}"]) for key in ("mean", "std") if f"image_{key}" in stated}
    return Preprocessing(image_size=image_size, **chosen)

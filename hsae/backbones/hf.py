"""Backbones that transformers knows: one class for transformers and one for CNNs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from itertools import accumulate
from operator import attrgetter, mul
from typing import TypeVar

from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from hsae.backbones.base import Backbone, LayerSpec, Preprocessing
from hsae.backbones.classifier import Classifier
from hsae.backbones.families import CONVNETS, TRANSFORMERS
from hsae.backbones.heads import classifier_of, tower_of
from hsae.backbones.hooks import recordable_attention
from hsae.backbones.maps import MapBackbone, channel_output, require_square
from hsae.errors import BackboneError, InputError

AttentionInterface.register("hsae_recordable", recordable_attention)
Family = TypeVar("Family")


class _Loaded(Backbone):
    """What both kinds share: the model in transformers, perhaps with a classification head, and its tower."""

    def __init__(
        self, id: str, model: PreTrainedModel, preprocessing: Preprocessing, revision: str | None = None
    ) -> None:
        self.id, self.revision, self.preprocessing = id, revision, preprocessing
        self.model = model.eval().requires_grad_(False)
        self._config, self._tower = model.config, tower_of(model)

    @cached_property
    def classifier(self) -> Classifier | None:
        return classifier_of(self.model)

    def _index(self, layer: str) -> int:
        (name,) = self.layer_names([layer])
        return list(self.layers).index(name)

    def _too_small(self, smallest: int) -> None:
        if self.preprocessing.image_size < smallest:
            size = self.preprocessing.image_size
            raise InputError(f"image_size {size}", f"at least one patch, {smallest} pixels")


class HFBackbone(_Loaded):
    """A frozen vision transformer from transformers; layer `block_NN` is the output of the NN-th block (1-based)."""

    def __init__(
        self, id: str, model: PreTrainedModel, preprocessing: Preprocessing, revision: str | None = None
    ) -> None:
        self._family = family_of(id, model.config.model_type, TRANSFORMERS)
        super().__init__(id, model, preprocessing, revision)
        self._too_small(model.config.patch_size)
        model.set_attn_implementation("hsae_recordable")
        self._blocks = attrgetter(self._family.blocks)(self._tower)
        n_prefix = self._family.n_prefix(model.config)
        names = [f"block_{number:02d}" for number in range(1, len(self._blocks) + 1)]
        self.layers = {name: LayerSpec(name, model.config.hidden_size, n_prefix) for name in names}

    def embed(self, pixels: Tensor) -> Tensor:
        return self._family.embed(self._tower, pixels)

    def embed_masked(self, pixels: Tensor, removed: Tensor) -> Tensor:
        embeddings = getattr(self.model, "embeddings", None)
        if embeddings is None or getattr(embeddings, "mask_token", None) is None:
            return super().embed_masked(pixels, removed)
        return embeddings(pixels, bool_masked_pos=removed)

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        return {name: partial(self._run_block, block) for name, block in zip(self.layers, self._blocks, strict=True)}

    def _run_block(self, block: nn.Module, tokens: Tensor) -> Tensor:
        return block(tokens, **self._family.block_options(self._tower, tokens))

    def tokens(self, state: Tensor) -> Tensor:
        return state

    def state(self, tokens: Tensor) -> Tensor:
        return tokens

    def grid(self, layer: str, height: int, width: int) -> tuple[int, int]:
        patch = self._config.patch_size
        return height // patch, width // patch

    def mlp_output(self, layer: str) -> Tensor:
        block = self._blocks[self._index(layer)]
        last = block.mlp.down_proj if hasattr(block.mlp, "down_proj") else block.mlp.fc2  # gated or plain
        rows = last.weight.T
        return rows * block.layer_scale2.lambda1 if hasattr(block, "layer_scale2") else rows


class HFConvNet(_Loaded, MapBackbone):
    """A frozen CNN from transformers; layers `stem`, `stage_1`, `stage_2` ..."""

    def __init__(
        self, id: str, model: PreTrainedModel, preprocessing: Preprocessing, revision: str | None = None
    ) -> None:
        family = family_of(id, model.config.model_type, CONVNETS)
        super().__init__(id, model, preprocessing, revision)
        self._parts = [attrgetter(family.stem)(self._tower), *attrgetter(family.stages)(self._tower)]
        names = ["stem", *(f"stage_{number}" for number in range(1, len(self._parts)))]
        widths = family.widths(model.config)
        self.layers = {name: LayerSpec(name, d_in, 0) for name, d_in in zip(names, widths, strict=True)}
        self._reductions = list(accumulate(family.strides(model.config), mul))
        self._rounds_up = family.rounds_up
        self._too_small(1 if family.rounds_up else self._reductions[-1])

    def embed(self, pixels: Tensor) -> Tensor:
        require_square(pixels)
        return pixels

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        return dict(zip(self.layers, self._parts, strict=True))

    def grid(self, layer: str, height: int, width: int) -> tuple[int, int]:
        reduction = self._reductions[self._index(layer)]
        more = reduction - 1 if self._rounds_up else 0
        return (height + more) // reduction, (width + more) // reduction

    def mlp_output(self, layer: str) -> Tensor | None:
        last = getattr(self._parts[self._index(layer)], "layers", [None])[-1]
        if hasattr(last, "layer"):  # of a ResNet
            return channel_output(last.layer[-1].convolution, last.layer[-1].normalization)
        if not hasattr(last, "pwconv2"):
            return None
        rows = last.pwconv2.weight.T
        return rows if last.layer_scale_parameter is None else rows * last.layer_scale_parameter


def family_of(id: str, model_type: str, families: dict[str, Family]) -> Family:
    """The row of a model type; BackboneError listing the known ones for another."""
    if model_type not in families:
        known = ", ".join(sorted(families))
        raise BackboneError(f"{id} is a model of type {model_type!r}", f"one of {known}", "Choose another backbone.")
    return families[model_type]

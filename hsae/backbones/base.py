"""What every vision backbone offers: ordered layers whose activations can be read, and continued from."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from hsae.backbones.classifier import Classifier
from hsae.data.open_image import ImageSource, open_image
from hsae.errors import InputError

Token = Literal["cls", "patch", "mean"]


@dataclass(frozen=True)
class LayerSpec:
    """One place where activations are read: the output of a block or stage."""

    name: str
    """`block_01` .. `block_12` for transformers, the stage's name for CNNs."""
    d_in: int
    """Width of one activation vector."""
    n_prefix: int
    """Tokens before the patches: class token and registers; 0 for CNN maps, which have no class token."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes pixels: short side to `image_size`, centre crop, scale to [0, 1], standardise."""

    image_size: int = 224
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def crop(self, image: ImageSource) -> Image.Image:
        """The square the model sees of anything `open_image` opens: RGB, `image_size` x `image_size`, bicubic."""
        image = open_image(image)
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        size = (self.image_size, self.image_size)
        return image.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))

    def __call__(self, images: Iterable[ImageSource]) -> Tensor:
        """Pixels `[batch, 3, image_size, image_size]`, float32, standardised per channel; InputError for no images."""
        if isinstance(images, Image.Image | str | Path | bytes):
            raise InputError("a single image", "a list of images", "Put it in a list: [image].")
        crops = [np.asarray(self.crop(image)) for image in images]
        if not crops:
            raise InputError("no images", "a list of at least one image")
        pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(255)
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return pixels.sub_(mean).div_(std).contiguous()


def nearest_cells(rows: int, columns: int, height: int, width: int) -> Tensor:
    """For every pixel `[height, width]` the cell with the nearest centre, on a map of `rows` x `columns` cells."""
    row, column = ((2 * torch.arange(n) + 1) * cells // (2 * n) for n, cells in ((height, rows), (width, columns)))
    return row[:, None] * columns + column


def weights_sha256(tensors: Mapping[str, Any]) -> str:
    """sha256 over names, shapes, dtypes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        array = tensor.detach().to("cpu").contiguous()
        digest.update(f"{name} {array.dtype} {tuple(array.shape)}\n".encode())
        digest.update(array.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


class Backbone(ABC):
    """A frozen vision model seen as `embed` followed by named stages.

    A *state* is what passes between stages; `tokens` shows it as activations `[batch, tokens, d_in]`, and `state` turns
    (edited) activations back, so the rest of the model can be run from any layer.
    """

    id: str
    """Registry name, Hub id or folder the backbone was loaded by."""
    revision: str | None
    """Commit sha of a Hub model, otherwise None."""
    preprocessing: Preprocessing
    layers: dict[str, LayerSpec]
    """In order from the input to the output."""
    model: nn.Module

    @abstractmethod
    def embed(self, pixels: Tensor) -> Tensor:
        """State before the first stage, from pixels `[batch, 3, height, width]`."""

    def embed_masked(self, pixels: Tensor, removed: Tensor) -> Tensor:
        """Like `embed`, with the model's mask token in place of patches; removed: bool `[batch, patches]`.

        InputError when the model was trained without one.
        """
        raise InputError(f"removed patches of {self.id}, which has no mask token", "a model that was trained with one")

    @abstractmethod
    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        """The stage that ends in each layer, in order."""

    @abstractmethod
    def tokens(self, state: Tensor) -> Tensor:
        """A state as activations `[batch, tokens, d_in]`."""

    @abstractmethod
    def state(self, tokens: Tensor) -> Tensor:
        """The inverse of `tokens`."""

    @abstractmethod
    def grid(self, layer: str, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches at `layer` for an image of that many pixels."""

    def token_map(self, layer: str, pixels: Tensor) -> Tensor:
        """For every pixel the patch token it belongs to at `layer`: its index after the prefix tokens, -1 for none.

        pixels `[1, 3, height, width]` to int64 `[height, width]`. Here each pixel belongs to the patch it lies in, and
        the rows and columns that are too few for a whole patch to none.
        """
        layer, height, width = self._layer_and_size(layer, pixels)
        rows, columns = self.grid(layer, height, width)
        # As many patches lie above a pixel as an image has that ends there.
        row = torch.tensor([self.grid(layer, above, width)[0] for above in range(height)])[:, None]
        column = torch.tensor([self.grid(layer, height, left)[1] for left in range(width)])
        inside = (row < rows) & (column < columns)
        return torch.where(inside, row * columns + column, -1).to(pixels.device)

    def map_layer(self, layer: str) -> str:
        """The layer on whose patches a map of `layer` is drawn: itself; before a pool, the layer that it pools."""
        (name,) = self.layer_names([layer])
        return name

    def _layer_and_size(self, layer: str, pixels: Tensor) -> tuple[str, int, int]:
        """The layer's name, height and width, checked: InputError unless `pixels` are those of one image."""
        (name,) = self.layer_names([layer])
        if pixels.ndim != 4 or pixels.shape[:2] != (1, 3):
            raise InputError(f"pixels of shape {tuple(pixels.shape)}", "one image, [1, 3, height, width]")
        return name, *pixels.shape[-2:]

    def mlp_output(self, layer: str) -> Tensor | None:
        """What each hidden neuron of the layer's MLP adds to the activations, `[n_neurons, d_in]`; None without one.

        Of a CNN's stage the channels that the last convolution of its last block reads, before the block's last ReLU.
        """
        return None

    @property
    def classifier(self) -> Classifier | None:
        """The model's own head for the classes it was trained on, with its frozen weights; None without one."""
        return None

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    @cached_property
    def fingerprint(self) -> str:
        """`weights_sha256` of all weights: equal exactly when the weights are.

        It is taken once, of the weights as they were loaded, so it depends neither on the device nor on `cast`.
        """
        return weights_sha256(self.model.state_dict())

    def cast(self, dtype: torch.dtype) -> None:
        """Compute in `dtype` from now on."""
        if dtype != self.dtype:
            _ = self.fingerprint  # of the weights before they are rounded
            self.model.to(dtype)

    def pixels(self, images: Sequence[ImageSource]) -> Tensor:
        """Preprocessed pixels `[batch, 3, height, width]` on the backbone's device."""
        return self.preprocessing(images).to(self.device, self.dtype)

    def layer_names(self, layers: Sequence[str] | Literal["all"] = "all") -> tuple[str, ...]:
        """The chosen layers in model order; unknown names raise InputError listing the known ones."""
        if layers == "all":
            return tuple(self.layers)
        if isinstance(layers, str):
            layers = [layers]
        unknown = sorted(set(layers) - set(self.layers))
        if unknown or not layers:
            raise InputError(f"Layers {unknown} of {self.id}", f"some of {', '.join(self.layers)}", 'Or use "all".')
        return tuple(name for name in self.layers if name in set(layers))

    @torch.no_grad()
    def run(self, images: Sequence[ImageSource], layers: Sequence[str] | Literal["all"] = "all") -> dict[str, Tensor]:
        """Activations `{layer: [batch, tokens, d_in]}` of a list of images, from one forward pass.

        images: each whatever `hsae.open_image` opens. The pass ends at the deepest layer asked for. Use `select_token`
        for the class, patch or pooled token.
        """
        return self.run_pixels(self.pixels(images), layers)

    def run_pixels(self, pixels: Tensor, layers: Sequence[str] | Literal["all"] = "all") -> dict[str, Tensor]:
        """Like `run`, on preprocessed pixels `[batch, 3, height, width]`; keeps gradients when they are enabled."""
        return self._advance(self.embed(pixels), self.stages(), self.layer_names(layers))

    def run_tokens(self, pixels: Tensor, layers: Sequence[str], token: Token) -> dict[str, Tensor]:
        """What `select_token` keeps of `run_pixels`, copied as soon as a layer is there: no other tokens are held."""

        def keep(tokens: Tensor, layer: str) -> Tensor:
            selected = self.select_token(tokens, layer, token)
            return selected.clone() if selected.numel() < tokens.numel() else selected

        return self._advance(self.embed(pixels), self.stages(), self.layer_names(layers), keep)

    def run_masked(self, pixels: Tensor, removed: Tensor, layers: Sequence[str] | Literal["all"]) -> dict[str, Tensor]:
        """Like `run_pixels`, from `embed_masked`."""
        return self._advance(self.embed_masked(pixels, removed), self.stages(), self.layer_names(layers))

    def run_from(self, layer: str, tokens: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Activations of later `layers` when the activations at `layer` are `tokens [batch, tokens, d_in]`."""
        stages = self.stages()
        (start,) = self.layer_names([layer])
        later = list(stages)[list(stages).index(start) + 1 :]
        wanted = self.layer_names(layers)
        early = [name for name in wanted if name not in later]
        if early:
            raise InputError(f"Layers {early} do not come after {layer}", f"some of {later}")
        return self._advance(self.state(tokens), {name: stages[name] for name in later}, wanted)

    def _advance(
        self,
        state: Tensor,
        stages: dict[str, Callable[[Tensor], Tensor]],
        wanted: tuple[str, ...],
        keep: Callable[[Tensor, str], Tensor] = lambda tokens, layer: tokens,
    ) -> dict[str, Tensor]:
        """The activations of the wanted layers, or what `keep` makes of them."""
        activations: dict[str, Tensor] = {}
        for name, stage in stages.items():
            state = stage(state)
            if name in wanted:
                activations[name] = keep(self.tokens(state), name)
            if len(activations) == len(wanted):
                break
        return activations

    def select_token(self, activations: Tensor, layer: str, token: Token) -> Tensor:
        """`cls` or `mean` (of the patches) `[batch, 1, d_in]`, or `patch` `[batch, patches, d_in]`; may be a view."""
        (name,) = self.layer_names([layer])
        n_prefix = self.layers[name].n_prefix
        if token == "cls":
            if n_prefix == 0:
                raise InputError(f"token cls at {self.id} {layer}", "mean or patch", "This layer has no class token.")
            return activations[:, :1]
        patches = activations[:, n_prefix:]
        if token == "mean":
            return patches.mean(1, keepdim=True)
        if token == "patch":
            return patches
        raise InputError(f"token {token!r}", "cls, patch or mean")

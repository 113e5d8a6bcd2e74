"""Models with an image and a text tower, such as CLIP: both as directions in their common space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoTokenizer

from hsae.backbones.base import Preprocessing, weights_sha256
from hsae.backbones.hf_load import read_weights, readable
from hsae.backbones.hf_pixels import read_preprocessing
from hsae.backbones.hub import settled
from hsae.data.open_image import ImageSource
from hsae.errors import BackboneError

_AT_ONCE = 64


@dataclass(frozen=True)
class Pair:
    """Where one family keeps two towers."""

    model: str
    """Class in transformers."""
    padding: str
    """Of texts that are read together: "longest" of them, or "max_length" that the model was trained with."""
    example: str
    """A Hub id."""


PAIRS = {
    "clip": Pair("CLIPModel", "longest", "openai/clip-vit-base-patch32"),
    "siglip": Pair("SiglipModel", "max_length", "google/siglip-base-patch16-224"),
}
"""By model type."""
_TEXT = ("text_model.", "text_projection.", "logit_")


@dataclass(frozen=True, eq=False)
class ImageAndText:
    """A frozen model of two towers."""

    id: str
    model: Any
    tokenizer: Any
    preprocessing: Preprocessing

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit length, `[n, d]` float64; texts that are too long are cut."""
        padding = PAIRS[self.model.config.model_type].padding
        length = self.model.config.text_config.max_position_embeddings
        options = {"padding": padding, "truncation": True, "max_length": length, "return_tensors": "pt"}
        ids = (self.tokenizer(part, **options)["input_ids"] for part in _parts(texts))
        # Without attention masks: CLIP looks at nothing behind a text's end, SigLIP was trained with its padding.
        return _directions([self.model.get_text_features(input_ids=each).pooler_output for each in ids])

    @torch.no_grad()
    def images(self, images: Iterable[ImageSource]) -> np.ndarray:
        """Unit length, `[n, d]` float64."""
        pixels = map(self.preprocessing, _parts(images))
        return _directions([self.model.get_image_features(pixel_values=each).pooler_output for each in pixels])

    @cached_property
    def image_fingerprint(self) -> str:
        """Of the weights of the image side: where it is equal, so are all embeddings of images."""
        own = {name: x for name, x in self.model.state_dict().items() if not name.startswith(_TEXT)}
        return weights_sha256(own)


def load_image_and_text(id: str, *, revision: str | None = None) -> ImageAndText:
    """CLIP, SigLIP or a fine-tuned one (RE-CLIP) with both towers and its tokenizer, from a Hub id or local folder.

    BackboneError for any other model, whose activations no text can be compared with, and for one that cannot be read.
    """
    if not Path(id).is_dir() and id.count("/") != 1:
        raise _without_text(f"{id}, of which no text tower is known")
    with readable(id):
        hub: dict[str, Any] = {} if Path(id).is_dir() else {**settled(id, revision)}
        config = AutoConfig.from_pretrained(id, trust_remote_code=False, **hub)
        if config.model_type not in PAIRS:
            raise _without_text(f"{id} is a model of type {config.model_type!r}, without a text tower")
        model = read_weights(id, PAIRS[config.model_type].model, hub).eval().requires_grad_(False)
        tokenizer = AutoTokenizer.from_pretrained(id, trust_remote_code=False, **hub)
        preprocessing = read_preprocessing(id, config, config.vision_config.image_size, **hub)
    return ImageAndText(id, model, tokenizer, preprocessing)


def _without_text(got: str) -> BackboneError:
    examples = ", ".join(pair.example for pair in PAIRS.values())
    return BackboneError(got, f"an image and text model ({', '.join(PAIRS)}): a folder or a Hub id such as {examples}")


def _parts(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while part := list(islice(iterator, _AT_ONCE)):
        yield part


def _directions(parts: Sequence[Tensor]) -> np.ndarray:
    return normalize(torch.cat(list(parts)).double(), dim=-1).numpy()

"""How a model in transformers' format wants its pixels scaled: what its image processor does, or an error."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
from transformers import AutoImageProcessor, PretrainedConfig
from transformers.image_processing_backends import PilBackend
from transformers.models.auto.image_processing_auto import get_image_processor_config

from hsae.backbones.base import Preprocessing
from hsae.errors import BackboneError

log = logging.getLogger(__name__)

Colour = tuple[float, float, float]
EXACT = 1e-4  # how far pixels may be from the processor's, relative to their spread: rounding alone


def read_preprocessing(where: str, config: PretrainedConfig, image_size: int, **hub: Any) -> Preprocessing:
    """Mean and std that give the pixels of the model's image processor, in processor_config.json or the older file.

    The square that the model sees is ours, so that pictures of all models show the same: the processor's resizing and
    cropping are left out. Without a processor ImageNet's mean and std are assumed, with a warning.
    hub: revision and the like. Raises BackboneError for a processor whose pixels no mean and std can give.
    """
    settings = get_image_processor_config(where, **hub)
    if settings == {}:
        assumed = Preprocessing(image_size)
        log.warning(
            "%s does not say how it wants its pixels (no image processor in processor_config.json or "
            "preprocessor_config.json); assumed: ImageNet's mean %s and std %s",
            where, assumed.mean, assumed.std,
        )  # fmt: skip
        return assumed
    if not isinstance(settings, dict):
        raise _refusal(where, f"is a {type(settings).__name__}")
    processor = _processor(where, settings, config, hub)
    preprocessing = Preprocessing(image_size, *_mean_and_std(where, processor))
    _check(where, processor, preprocessing)
    return preprocessing


class _DINOv3Processor(PilBackend):
    """Pixel values as by DINOv3ViTImageProcessor, which transformers has for torchvision only."""

    image_mean, image_std = Preprocessing.mean, Preprocessing.std
    do_rescale = do_normalize = True


def _processor(where: str, settings: dict[str, Any], config: PretrainedConfig, hub: dict[str, Any]) -> Any:
    """The model's image processor as transformers makes it; of one for DINOv3 our own."""
    kind = settings.get("image_processor_type", "DINOv3ViT" if config.model_type == "dinov3_vit" else "")
    if str(kind).startswith("DINOv3ViT"):
        return _DINOv3Processor(**settings)
    return AutoImageProcessor.from_pretrained(where, config=config, backend="pil", trust_remote_code=False, **hub)


def _mean_and_std(where: str, processor: Any) -> tuple[Colour, Colour]:
    """(v f - mean) / std = (v / 255 - mean / s) / (std / s) with s = 255 f, for a value v from 0 to 255."""
    scale = 255 * _number(where, "rescale_factor", processor.rescale_factor) if processor.do_rescale else 255.0
    mean = _colour(where, "image_mean", processor.image_mean if processor.do_normalize else 0.0)
    std = _colour(where, "image_std", processor.image_std if processor.do_normalize else 1.0)
    if not (scale > 0 and min(std) > 0):
        raise _refusal(where, f"scales by {scale / 255:g} and divides by {std}")
    return _over(mean, scale), _over(std, scale)


def _over(colour: Colour, scale: float) -> Colour:
    red, green, blue = (value / scale for value in colour)
    return red, green, blue


def _colour(where: str, name: str, value: object) -> Colour:
    """One number stands for all three channels, as in transformers."""
    values = value if isinstance(value, list | tuple) else (value,) * 3
    if len(values) != 3:
        raise _refusal(where, f"states {name} = {value!r:.80}")
    red, green, blue = (_number(where, name, part) for part in values)
    return red, green, blue


def _number(where: str, name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refusal(where, f"states {name} = {value!r:.80}")
    return float(value)


def _check(where: str, processor: Any, preprocessing: Preprocessing) -> None:
    """Refuse a processor that does anything else to pixel values than our mean and std, such as swapping channels."""
    values = np.arange(256, dtype=np.uint8)
    image = np.stack([values, values[::-1], np.roll(values, 100)], -1).reshape(16, 16, 3)
    options = {"do_resize": False, "do_center_crop": False, "do_pad": False, "input_data_format": "channels_last"}
    theirs = np.asarray(processor(image, return_tensors="np", **options)["pixel_values"])
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    ours = ((image / 255 - mean) / std).transpose(2, 0, 1)[None]
    if theirs.shape != ours.shape or not np.abs(theirs - ours).max() <= EXACT * np.ptp(ours):
        raise _refusal(where, f"({type(processor).__name__}) changes pixels in other ways too")


def _refusal(where: str, got: str) -> BackboneError:
    return BackboneError(
        f"The image processor of {where!r} {got}",
        "one that scales pixels and standardises each channel: rescale_factor a number, image_mean and image_std one "
        "number or three",
        "Correct its processor_config.json or preprocessor_config.json; its pixels are not guessed.",
    )

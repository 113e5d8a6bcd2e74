"""Classification heads of transformers' models: how each makes logits from the activations of the last layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hsae.backbones.classifier import Classifier
from hsae.data.known_classes import recognised


def _from_class_token(model: Any, tokens: Tensor) -> Tensor:
    return model.classifier(tower_of(model).layernorm(tokens)[:, 0])


def _from_both_tokens(model: Any, tokens: Tensor) -> Tensor:
    """Mean of what the class token and the distillation token say."""
    x = tower_of(model).layernorm(tokens)
    return (model.cls_classifier(x[:, 0]) + model.distillation_classifier(x[:, 1])) / 2


def _from_class_token_and_patches(model: Any, tokens: Tensor) -> Tensor:
    x = tower_of(model).layernorm(tokens)
    patches = x[:, 1 + getattr(model.config, "num_register_tokens", 0) :]
    return model.classifier(torch.cat([x[:, 0], patches.mean(1)], 1))


def _from_map(model: Any, tokens: Tensor) -> Tensor:
    return model.classifier(tokens.mean(1))


def _from_normed_map(model: Any, tokens: Tensor) -> Tensor:
    return model.classifier(tower_of(model).layernorm(tokens.mean(1)))


HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "ConvNextForImageClassification": _from_normed_map,
    "DeiTForImageClassification": _from_class_token,
    "DeiTForImageClassificationWithTeacher": _from_both_tokens,
    "Dinov2ForImageClassification": _from_class_token_and_patches,
    "Dinov2WithRegistersForImageClassification": _from_class_token_and_patches,
    "ResNetForImageClassification": _from_map,
    "ViTForImageClassification": _from_class_token,
}
"""By the name of the model's class in transformers; its parts are those of that class alone."""


def tower_of(model: Any) -> Any:
    """The model without its classification head."""
    return getattr(model, model.base_model_prefix) if type(model).__name__ in HEADS else model


def classifier_of(model: Any) -> Classifier | None:
    """The model's head; None without one, or when its classes are not those of a data set with known WordNet ids."""
    head = HEADS.get(type(model).__name__)
    if head is None:
        return None
    labels = model.config.id2label
    classes = recognised([labels[number] for number in range(len(labels))])
    return None if classes is None else Classifier(tuple(classes), partial(head, model))

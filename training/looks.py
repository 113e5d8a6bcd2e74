"""How the held-out images of a run look: by colour and texture, and to another encoder."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hsae.activations.extract import extract_activations
from hsae.activations.store import ActivationStore
from hsae.atomic import atomic_path
from hsae.backbones.base import Token
from hsae.backbones.registry import load_backbone
from hsae.measures.colour_texture import class_means, colour_texture
from hsae.measures.wordnet import likeness_groups
from training.records import Record
from training.run_config import RunConfig
from training.stores import splits


def class_groups(config: RunConfig, heldout: ActivationStore) -> np.ndarray:
    """Groups of classes whose held-out images are alike in colour and texture, `[n_classes]`."""
    looks = colours_and_textures(config, heldout).numpy()
    return likeness_groups(class_means(looks, heldout.labels.numpy(), len(heldout.classes)))


def colours_and_textures(config: RunConfig, heldout: ActivationStore) -> Tensor:
    """Colour and texture of every image of the store, `[n_images, 12]`, kept in the folder of the run."""
    settings = {"dataset": heldout.manifest.content["dataset"]}
    record = Record(Path(config.run) / "colour_texture.safetensors", settings)
    if not record.done():
        samples = splits(config).heldout
        looks = [torch.from_numpy(colour_texture(samples.read(row).image)) for row in heldout.rows.tolist()]
        with record.renewed(), atomic_path(record.result) as temporary:
            save_file({"colour_texture": torch.stack(looks)}, temporary)
    return load_file(record.result)["colour_texture"]


def second_encoder(
    config: RunConfig, heldout: ActivationStore, device: torch.device | str = "cpu"
) -> ActivationStore | None:
    """What `config.second_encoder` makes of the held-out images: its last layer, class token or else the mean."""
    if config.second_encoder is None:
        return None
    encoder = load_backbone(config.second_encoder, device=device)
    last = list(encoder.layers.values())[-1]
    samples = splits(config).heldout
    folder = Path(config.run) / "activations" / f"heldout_{re.sub(r'[^A-Za-z0-9.-]+', '_', encoder.id)}"
    token: Token = "cls" if last.n_prefix else "mean"
    whole = samples.subset(heldout.rows.numpy())
    return extract_activations(encoder, whole, folder, [last.name], token, batch_size=config.images_per_batch)


def describe_encoder(store: ActivationStore) -> dict[str, str | int | None]:
    """Which encoder a store is of, for the artifact."""
    return store.manifest.backbone | {"layer": next(iter(store.layers)), "token": store.manifest.token}

"""What is compared: a backbone by name, or that of a run or an artifact, at some of its layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hsae.activations.extract import extract_activations
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.index import INDEX
from hsae.backbones.base import Backbone, Token
from hsae.backbones.registry import load_backbone
from hsae.bench.images import BenchImages, open_images
from hsae.data.samples import Samples

PARTS = ("train", "choice", "heldout")
_LAYERS = re.compile(r"(?P<source>.+?)(?::(?P<layers>[\w.,-]+))?")


@dataclass(frozen=True, eq=False)
class Pictures:
    """A backbone with the images themselves."""

    backbone: Backbone
    samples: Mapping[str, Samples]
    """By name of their store."""
    token: Token
    """That SAEs and probes read."""


@dataclass(frozen=True, eq=False)
class Model:
    """A backbone on stored images."""

    name: str
    images: BenchImages
    layers: tuple[str, ...]
    artifact: Artifact | None = None
    """Whose SAEs are measured; None where there are none."""
    pictures: Pictures | None = None
    """What can be pushed; None for a run on its own stores."""


@dataclass(frozen=True)
class Asked:
    """A model as the command line names it: `SOURCE` or `SOURCE:LAYER,LAYER`."""

    source: str
    layers: tuple[str, ...]
    """All where none is named."""

    @classmethod
    def parse(cls, text: str) -> Asked:
        """A path that exists is a source as a whole, whatever colons it has."""
        found = None if Path(text).exists() else _LAYERS.fullmatch(text)
        layers = (found["layers"] or "") if found else ""
        return cls(found["source"] if found else text, tuple(filter(None, layers.split(","))))

    @property
    def name(self) -> str:
        """What to print, and the folder its results lie in."""
        return Path(self.source).name or self.source

    @property
    def artifact_at(self) -> str | None:
        """Where its artifact is; None for a run without one and for the name of a backbone."""
        inside = Path(self.source) / "artifact"
        if (inside / INDEX).is_file():
            return str(inside)
        return self.source if self.source == "starter" or (Path(self.source) / INDEX).is_file() else None

    @property
    def is_run(self) -> bool:
        """Whether it has activations of its own, of images that train, choose and test."""
        return all((Path(self.source) / "activations" / part).is_dir() for part in PARTS)


def open_model(asked: Asked, samples: Mapping[str, Samples] | None, folder: Path, batch_size: int = 16) -> Model:
    """The model on its run's own images where `samples` is None, else on these, whose activations are kept in `folder`.

    samples: by name of their store (`ImageSample.load`). StoreError for a run that set no images apart to choose on.
    """
    artifact = None if asked.artifact_at is None else Artifact.load(asked.artifact_at)
    run = Path(asked.source) if samples is None else folder
    pictures = None
    if samples is not None:
        backbone = load_backbone(asked.source) if artifact is None else artifact.load_backbone()
        layers = backbone.layer_names(asked.layers or (artifact.layers if artifact else "all"))
        token = artifact.index.backbone["token"] if artifact else whole_image_token(backbone)
        for name, part in samples.items():
            extract_activations(backbone, part, run / "activations" / name, layers, token, batch_size=batch_size)
        pictures = Pictures(backbone, samples, token)
    images = open_images(run, {})
    layers = asked.layers or tuple(name for name in images.train.layers if not artifact or name in artifact.layers)
    return Model(asked.name, images, layers, artifact, pictures)


def whole_image_token(backbone: Backbone) -> Token:
    """The class token, or the mean over the map where there is none."""
    return "cls" if all(spec.n_prefix for spec in backbone.layers.values()) else "mean"

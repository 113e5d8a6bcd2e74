"""hsae.json: what an artifact is about, which layers it has, and the sha256 of every file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from hsae.artifacts.defects import require
from hsae.artifacts.strangers_json import check_plain, is_count, is_number, is_text
from hsae.errors import ArtifactError
from hsae.version import __version__

SCHEMA = 2
"""What is written; every one from 1 on is read. Schema 1 has no temperatures of probes."""
INDEX = "hsae.json"
PROBES, CURVES, TREE = "probes.safetensors", "curves.json", "tree.json"
EXTRAS = {
    name: f"{name}.json"
    for name in (
        "causal",
        "comparison",
        "consistency",
        "examples",
        "faithfulness",
        "maps",
        "profiles",
        "scoreboard",
        "segmentation",
        "starter",
        "steerable",
    )
}
"""Files that an artifact may have or lack: what was measured on it afterwards."""
CFG, WEIGHTS, LATENTS, TOP_IMAGES = "cfg.json", "sae_weights.safetensors", "latents.parquet", "top_images.json"

MAX_INDEX_BYTES = 16 * 2**20
MAX_D_IN, MAX_D_SAE = 16_384, 1_000_000
MAX_LAYERS, MAX_CLASSES = 512, 100_000

_LAYER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
WNID = re.compile(r"n[0-9]{8}")


@dataclass(frozen=True)
class Layer:
    """One layer's name and the shape of its SAE."""

    name: str
    d_in: int
    d_sae: int

    def __post_init__(self) -> None:
        named = isinstance(self.name, str) and _LAYER_NAME.fullmatch(self.name) is not None
        require(named, f"{INDEX} layers", f"the name {self.name!r:.80}", "up to 64 letters, digits, _ . or -")
        require(is_count(self.d_in, 1, MAX_D_IN), self.name, f"d_in {self.d_in!r:.40}", f"1 to {MAX_D_IN}")
        require(is_count(self.d_sae, 1, MAX_D_SAE), self.name, f"d_sae {self.d_sae!r:.40}", f"1 to {MAX_D_SAE}")

    def file(self, name: str) -> str:
        """Path of one of the layer's files, relative to the artifact."""
        return f"{self.name}/{name}"


@dataclass(frozen=True)
class Index:
    """The checked content of hsae.json; any field that is not as specified raises ArtifactError."""

    backbone: dict[str, Any]
    """id, revision, weights_sha256, image_size, token."""
    dataset: dict[str, Any]
    """id, split, n_images, classes (wnids in the order of the probes' columns; none for images without labels)."""
    taxonomy: dict[str, Any]
    """tau, q, nulls and whatever else the class-selection rule needs to be repeated."""
    layers: tuple[Layer, ...]
    """In model order."""
    files: dict[str, str] = field(default_factory=dict)
    """sha256 by relative path; empty until saved."""
    hsae_version: str = __version__
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        _check_schema(self.schema)
        require(is_text(self.hsae_version, 100), INDEX, f"hsae_version {self.hsae_version!r:.80}", "a version")
        _check_backbone(self.backbone)
        check_dataset(self.dataset)
        _check_taxonomy(self.taxonomy)
        names = [layer.name for layer in self.layers]
        require(0 < len(names) <= MAX_LAYERS, INDEX, f"{len(names)} layers", f"1 to {MAX_LAYERS}")
        require(len(set(names)) == len(names), INDEX, "a layer named twice", "every layer once")

    @property
    def required(self) -> tuple[str, ...]:
        """The files that every artifact of these layers has; probes only where there are classes."""
        per_layer = [layer.file(name) for layer in self.layers for name in (CFG, WEIGHTS, LATENTS, TOP_IMAGES)]
        return (*per_layer, *([PROBES] if self.dataset["classes"] else []), CURVES, TREE)

    @property
    def extras(self) -> tuple[str, ...]:
        """Names of the optional documents that are there, e.g. "causal"."""
        return tuple(name for name, path in EXTRAS.items() if path in self.files)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file of the artifact but hsae.json itself and what is for people only (README.md, card/)."""
        return (*self.required, *(EXTRAS[name] for name in self.extras))

    def layer(self, name: str) -> Layer:
        """A layer by its name; ArtifactError lists those there are."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise ArtifactError(f"No layer {name!r:.80}", f"one of {', '.join(layer.name for layer in self.layers)}")

    def only(self, names: Sequence[str] | str | None) -> Index:
        """The same index with only the layers `names`, in model order; all of them for None."""
        if names is None:
            return self
        wanted = {self.layer(name) for name in ([names] if isinstance(names, str) else names)}
        return replace(self, layers=tuple(layer for layer in self.layers if layer in wanted))

    def to_json(self) -> dict[str, Any]:
        """The value of hsae.json."""
        return {**asdict(self), "layers": [asdict(layer) for layer in self.layers]}

    @classmethod
    def from_json(cls, value: Any) -> Index:
        """Check a parsed hsae.json from top to bottom; ArtifactError names the first defect."""
        require(isinstance(value, dict), INDEX, f"a {type(value).__name__}", "an object")
        _check_schema(value.get("schema"))
        _check_keys(INDEX, value, {f.name for f in fields(cls)})
        require(isinstance(value["layers"], list), INDEX, "layers is no list", "a list of layers")
        for layer in value["layers"]:
            _check_keys(f"{INDEX} layers", layer, {f.name for f in fields(Layer)})
        index = cls(**{**value, "layers": tuple(Layer(**layer) for layer in value["layers"])})
        _check_files(index)
        return index


def _check_keys(where: str, value: Any, expected: set[str], *, more: bool = False) -> None:
    require(isinstance(value, dict), where, f"a {type(value).__name__}", "an object")
    missing, extra = sorted(expected - set(value)), sorted(set(value) - expected)
    require(not missing, where, f"{', '.join(missing)} missing", f"the fields {', '.join(sorted(expected))}")
    require(more or not extra, where, f"unknown {extra!s:.200}", f"the fields {', '.join(sorted(expected))}")
    check_plain(value, where)


def _check_schema(value: object) -> None:
    expected = f"schema 1 to {SCHEMA}, which this hsae {__version__} reads"
    require(is_count(value, 1, SCHEMA), INDEX, f"schema {value!r:.40}", expected)


def _check_backbone(value: dict[str, Any]) -> None:
    where = f"{INDEX} backbone"
    _check_keys(where, value, {"id", "revision", "weights_sha256", "image_size", "token"})
    require(is_text(value["id"], 500) and value["id"] != "", where, f"id {value['id']!r:.80}", "a name")
    revision, sha = value["revision"], value["weights_sha256"]
    require(revision is None or is_text(revision, 200), where, f"revision {revision!r:.80}", "text or null")
    require(_is_sha256(sha), where, f"weights_sha256 {sha!r:.80}", "64 hexadecimal digits")
    size, token = value["image_size"], value["token"]
    require(is_count(size, 1, 8192), where, f"image_size {size!r:.40}", "1 to 8192 pixels")
    require(token in ("cls", "patch", "mean"), where, f"token {token!r:.40}", "cls, patch or mean")


def check_dataset(value: dict[str, Any]) -> None:
    """ArtifactError unless it can stand in hsae.json: id, split, n_images, classes."""
    where = f"{INDEX} dataset"
    _check_keys(where, value, {"id", "split", "n_images", "classes"})
    require(is_text(value["id"], 500) and value["id"] != "", where, f"id {value['id']!r:.80}", "a name")
    split, n_images, classes = value["split"], value["n_images"], value["classes"]
    require(split is None or is_text(split, 200), where, f"split {split!r:.80}", "text or null")
    require(is_count(n_images, 1), where, f"n_images {n_images!r:.40}", "a positive number")
    require(isinstance(classes, list), where, f"classes is a {type(classes).__name__}", "a list")
    require(len(classes) <= MAX_CLASSES, where, f"{len(classes)} classes", f"at most {MAX_CLASSES}")
    odd = [name for name in classes if not (isinstance(name, str) and WNID.fullmatch(name))]
    require(not odd, where, f"the classes {odd[:3]!s:.80}", 'WordNet ids such as "n02084071"')
    require(len(set(classes)) == len(classes), where, "a class twice", "every class once")


def _check_taxonomy(value: dict[str, Any]) -> None:
    where = f"{INDEX} taxonomy"
    _check_keys(where, value, {"tau", "q", "nulls"}, more=True)
    for name in ("tau", "q"):
        share = value[name]
        good = share is None or (is_number(share) and 0 <= share <= 1)
        require(good, where, f"{name} {share!r:.40}", "a number in [0, 1] or null")


def _check_files(index: Index) -> None:
    where = f"{INDEX} files"
    optional = {path: sha for path, sha in index.files.items() if path in EXTRAS.values()}
    _check_keys(where, index.files, {*index.required, *optional})
    odd = [path for path, sha in index.files.items() if not _is_sha256(sha)]
    require(not odd, where, f"no sha256 for {', '.join(odd[:3])}", "64 hexadecimal digits for every file")


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None

"""Write an artifact as a folder that appears whole or not at all; the same parts give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hsae.artifacts.files import sha256_of
from hsae.artifacts.index import CFG, CURVES, EXTRAS, INDEX, LATENTS, PROBES, TOP_IMAGES, TREE
from hsae.artifacts.latents_file import write_latents
from hsae.artifacts.probes_file import write_probes
from hsae.artifacts.sae_folder import Dtype, write_sae
from hsae.artifacts.top_images_file import write_top_images
from hsae.atomic import atomic_path, write_json, write_text
from hsae.errors import ArtifactError, InputError
from hsae.version import __version__

if TYPE_CHECKING:
    from hsae.artifacts.contents import Contents

CARD, FIGURES = "README.md", "card"
_OWN_NAMES = {INDEX, PROBES, CURVES, TREE, CARD, FIGURES, *EXTRAS.values()}


def save_artifact(
    artifact: Contents,
    folder: Path | str,
    dtype: Dtype = "float16",
    card: str | None = None,
    figures: Mapping[str, str] | None = None,
) -> Path:
    """Write `artifact` to `folder`, in place of an artifact that may be there; returns the folder.

    What was read in an older schema is written in that schema.
    """
    if dtype not in ("float16", "float32"):
        raise InputError(f"dtype {dtype!r}", "float16 or float32")
    target = Path(folder).resolve()
    _check_target(target)
    with atomic_path(target) as temporary:
        for name in artifact.layers:
            _write_layer(artifact, name, temporary, dtype)
        if artifact.classes:
            probes = {name: artifact.probe(name) for name in artifact.layers}
            write_probes(temporary / PROBES, probes, dtype, artifact.index.schema)
        write_json(temporary / CURVES, artifact.curves, compact=True)
        write_json(temporary / TREE, artifact.tree, compact=True)
        for name in artifact.documents:
            write_json(temporary / EXTRAS[name], artifact.document(name), compact=True)
        paths = (*artifact.index.required, *(EXTRAS[name] for name in artifact.documents))
        files = {path: sha256_of(temporary / path) for path in paths}
        write_json(temporary / INDEX, replace(artifact.index, files=files, hsae_version=__version__).to_json())
        if card is not None:
            write_text(temporary / CARD, card)
        for name, drawing in (figures or {}).items():
            write_text(temporary / FIGURES / name, drawing)
    return target


def _write_layer(artifact: Contents, name: str, folder: Path, dtype: Dtype) -> None:
    layer = artifact.index.layer(name)
    write_sae(folder / name, artifact.sae(name), layer, artifact.index, dtype)
    write_latents(folder / name / LATENTS, artifact.latents(name))
    write_top_images(folder / name / TOP_IMAGES, artifact.top_images(name))


def _check_target(target: Path) -> None:
    """Only an artifact may be replaced: the folder is exchanged as a whole, and nothing else may get lost."""
    if target.exists() and not target.is_dir():
        raise ArtifactError(f"{target} is a file", "a folder", "Choose another name")
    entries = list(target.iterdir()) if target.is_dir() else []
    strangers = sorted(e.name for e in entries if e.name not in _OWN_NAMES and not (e / CFG).is_file())
    if strangers:
        raise ArtifactError(
            f"{target} holds other things: {', '.join(strangers[:5])}",
            "a new or empty folder, or an artifact to replace",
            "Choose another folder, or move them away",
        )

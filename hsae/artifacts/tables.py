"""Give a finished artifact new latent tables; everything else in its folder stays as it is, byte by byte."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.extras import on_disk
from hsae.artifacts.files import sha256_of
from hsae.artifacts.index import INDEX, LATENTS
from hsae.artifacts.latents_file import check_latents, write_latents
from hsae.atomic import atomic_path, write_json

if TYPE_CHECKING:
    import pandas as pd


def replace_tables(source: str | Path, tables: Mapping[str, pd.DataFrame], taxonomy: Mapping[str, Any]) -> Path:
    """Write the tables by layer and add `taxonomy` to the index's entry of that name; returns the folder.

    Whole or not at all: a copy of the folder takes its place. ArtifactError for a Hub model, a layer that is not there,
    or a table that the format does not allow.
    """
    artifact = Artifact.load(source)
    folder, index = on_disk(artifact).resolve(), artifact.index
    checked = {
        layer: check_latents(table, index.layer(layer), len(artifact.classes)) for layer, table in tables.items()
    }
    with atomic_path(folder) as temporary:
        shutil.copytree(folder, temporary)
        files = dict(index.files)
        for layer, table in checked.items():
            path = index.layer(layer).file(LATENTS)
            write_latents(temporary / path, table)
            files[path] = sha256_of(temporary / path)
        changed = replace(index, files=files, taxonomy=index.taxonomy | dict(taxonomy))
        write_json(temporary / INDEX, changed.to_json())
    return folder

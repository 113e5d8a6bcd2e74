"""The images that a run's features were measured on, read from where they lie on this machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.data.joined import join_samples
from hsae.data.samples import Samples, load_samples
from hsae.errors import InputError, StoreError


@dataclass(frozen=True, eq=False)
class OwnImages:
    """What `Examples` is for an artifact that carries no thumbnails."""

    samples: Samples
    note = "read from this machine."
    """Said of them."""

    @property
    def rows(self) -> range:
        """Of which there is an image."""
        return range(len(self.samples))

    def image(self, row: int) -> Image.Image | None:
        """The image of a row, RGB; None without one, ImageError when it is broken."""
        return self.samples.read(row).image if row in self.rows else None


def own_images(artifact: Artifact, data: str, split: str | None) -> OwnImages | None:
    """The images of `data` (sources with commas between), if the artifact's run was measured on those very ones.

    None where it lies in no run, or in one that was measured on others.
    """
    run = Path(artifact.id).parent
    folder = run / "activations" / "heldout"
    if not folder.is_dir():
        return None
    parts = [load_samples(source.strip(), split=split) for source in data.split(",")]
    samples = join_samples([_set_apart(run / "heldout.json", str(number), part) for number, part in enumerate(parts)])
    measured = ActivationStore(folder).manifest.dataset.get("images")
    return OwnImages(samples) if samples.images_fingerprint == measured else None


def images_of(artifacts: list[Artifact], data: str | None, split: str | None) -> dict[str, OwnImages]:
    """By id of each artifact that was measured on these images; InputError when none was."""
    if data is None:
        return {}
    found = {artifact.id: own for artifact in artifacts if (own := own_images(artifact, data, split)) is not None}
    if not found:
        raise InputError(
            f"--data {data}, on which none of the runs was measured",
            "the images of a run, spelled as it was told",
            "Name RUN as --artifact, its --data, and as --data_split its --heldout_split.",
        )
    return found


def _set_apart(record: Path, source: str, samples: Samples) -> Samples:
    """Where the run measured on a share of a source (training/stores.py), that share; else all of it."""
    if not record.is_file():
        return samples
    try:
        kept = json.loads(record.read_text(encoding="utf-8")).get(source, {})
        if kept.get("images") != samples.images_fingerprint or "heldout" not in kept:
            return samples
        return samples.subset(kept["heldout"])
    except (OSError, ValueError, AttributeError, TypeError, IndexError) as error:
        raise StoreError(f"{record} is damaged: {error}", "which rows are set apart") from error

"""An artifact: the SAEs of a backbone's layers with everything measured on them, loaded, saved and published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hsae.artifacts.contents import Contents
from hsae.artifacts.files import LocalFiles, VerifiedFiles, open_files, sha256_of
from hsae.artifacts.index import INDEX, MAX_INDEX_BYTES, Index
from hsae.artifacts.parts import StoredParts
from hsae.artifacts.push import push_artifact
from hsae.artifacts.sae_folder import Dtype
from hsae.artifacts.save import save_artifact
from hsae.artifacts.strangers_json import read_document
from hsae.errors import ArtifactError

if TYPE_CHECKING:
    from hsae.backbones.base import Backbone


class Artifact(Contents):
    """The contents of an artifact, and how they come from and go to folders and the Hub."""

    @classmethod
    def load(cls, source: str | Path, revision: str | None = None, layers: Sequence[str] | str | None = None) -> Self:
        """Open "starter", a folder or a Hub model org/name at a revision; only what is asked for is fetched and read.

        layers: those to keep, all by default.
        """
        files = open_files(source, revision)
        path = files.get(INDEX)
        index = Index.from_json(read_document(path, INDEX, MAX_INDEX_BYTES))
        folder = files.folder if isinstance(files, LocalFiles) else None
        parts = StoredParts(VerifiedFiles(files, index.files), index)
        return cls(index, parts, str(source), sha256_of(path), folder).only(layers)

    def save(
        self,
        folder: str | Path,
        dtype: Dtype = "float16",
        card: str | None = None,
        figures: Mapping[str, str] | None = None,
    ) -> Path:
        """Write the artifact as a folder, atomically, with SAE weights in `dtype`; returns the folder.

        card: text of README.md; figures: its SVG drawings by file name. The same parts give the same bytes. An artifact
        in `folder` is replaced as a whole; a folder with anything else in it raises ArtifactError.
        """
        return save_artifact(self, folder, dtype, card, figures)

    def push(
        self,
        repo_id: str,
        *,
        private: bool = False,
        revision: str | None = None,
        tag: str | None = None,
        layers: Sequence[str] | str | None = None,
        force: bool = False,
    ) -> str:
        """Publish the artifact as the Hub model `repo_id` in one commit, checked afterwards; returns the commit.

        revision: branch; tag: name for the commit; layers: those to publish, all by default. Broken off, it goes on
        where it stopped when called again. Nothing but the artifact's own files, card and figures leaves the machine.
        ArtifactError when another backbone's artifact or something else is there, or the tag is taken (unless force).
        """
        return push_artifact(self.only(layers), repo_id, private=private, revision=revision, tag=tag, force=force)

    from_pretrained = load
    """`load`, as the Hub's libraries spell it."""
    save_pretrained = save
    push_to_hub = push

    def load_backbone(self) -> Backbone:
        """The backbone the artifact was made with, on the CPU; BackboneError when it cannot be had."""
        from hsae.backbones.registry import load_backbone

        origin = self.index.backbone
        backbone = load_backbone(origin["id"], image_size=origin["image_size"], revision=origin["revision"])
        self.check_backbone(backbone)
        return backbone

    def check_backbone(self, backbone: Backbone) -> None:
        """Raise ArtifactError unless `backbone` has the very weights the SAEs were trained on."""
        expected = self.index.backbone["weights_sha256"]
        if backbone.fingerprint != expected:
            raise ArtifactError(
                f"The weights of {backbone.id} have the fingerprint {backbone.fingerprint} ({backbone.dtype})",
                f"{expected}, the {self.index.backbone['id']} that {self.id} was made with",
                "Load that backbone, at the same revision and dtype",
            )

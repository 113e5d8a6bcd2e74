"""An image under an artifact: one forward pass, whose activations every question after it reads."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from PIL import Image
from torch import Tensor

from hsae.backbones.base import Backbone, Token
from hsae.data.open_image import ImageSource
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy

if TYPE_CHECKING:
    from hsae.artifacts.artifact import Artifact

T = TypeVar("T")
_MOST = 256
"""Answers kept for one image; a map of 16 x 16 patches takes 1 kB."""


class ImageSession:
    """What a session holds: an artifact, its backbone, the image's activations, and the session of patches beside."""

    def __init__(
        self: Self, artifact: Artifact, backbone: Backbone | None = None, patches: Artifact | None = None
    ) -> None:
        """Load the artifact's backbone unless it is given; ArtifactError when its weights are not the artifact's.

        patches: another artifact of that backbone, with SAEs of patches: `session.patches` answers by it, from the same
        forward pass. InputError unless the first one reads another token.
        """
        self.artifact = artifact
        if backbone is None:
            backbone = artifact.load_backbone()
        artifact.check_backbone(backbone)
        self.backbone = backbone
        self._image: Image.Image | None = None
        self._activations: dict[str, Tensor] = {}
        self._answers: dict[Hashable, Any] = {}
        self._main = self
        self._patches = None if patches is None else self._beside(patches)

    def _beside(self, patches: Artifact) -> Self:
        """A session of the same image whose latents are those of patches, and whose classes are read as here."""
        if (self.artifact.token, patches.token) not in (("cls", "patch"), ("mean", "patch")):
            got = f"{self.artifact.id} of token {self.artifact.token} with {patches.id} of token {patches.token}"
            raise InputError(got, "one of cls or mean with one of patch")
        size = self.backbone.preprocessing.image_size
        if patches.backbone["image_size"] != size:
            raise InputError(
                f"{patches.id} at {patches.backbone['image_size']} pixels", f"{size}, as {self.artifact.id}"
            )
        other = type(self)(patches, self.backbone)
        other._main = self
        return other

    @property
    def patches(self) -> Self:
        """The session whose SAEs read patches: that of the artifact beside, or this one; InputError without any.

        It shows the same image, and reads classes, nearest photographs and segmentations where this one does.
        """
        found = self if self.artifact.token == "patch" else self._patches
        if found is None:
            got = f"{self.artifact.id}, whose SAEs read the token {self.artifact.token}"
            raise InputError(got, "SAEs of patches", "Give the session an artifact of them: Session(..., patches=...).")
        return found

    def like(self) -> Self:
        """A new session without image that shares this one's artifacts and backbone."""
        if self._main is not self:
            return self._main.like().patches
        return type(self)(self.artifact, self.backbone, None if self._patches is None else self._patches.artifact)

    def set_image(self, image: ImageSource) -> Self:
        """Run the backbone once over an image and keep the activations of all layers of the artifact; the session.

        image: whatever `hsae.open_image` opens: a path, bytes, a file, a PIL image or an array.
        They stay as exact as they were computed, so that an edit of nothing changes nothing: `n_bytes`.
        """
        crop = self.backbone.preprocessing.crop(image)
        both = [session for session in (self._main, self._main._patches) if session is not None]
        layers = list(dict.fromkeys(layer for session in both for layer in session.artifact.layers))
        activations = self.backbone.run([crop], layers)
        for session in both:
            session._image, session._activations, session._answers = crop, activations, {}
        return self

    @property
    def n_bytes(self) -> int:
        """Memory the image takes: layers x tokens x d_in x bytes of a number, 1.2 MB for the starter artifact."""
        return sum(x.untyped_storage().nbytes() for x in self._activations.values())

    @property
    def crop(self) -> Image.Image:
        """The square of the image that the backbone sees."""
        return self._require_image()

    def activations(self, layer: str) -> Tensor:
        """Activations `[1, tokens, d_in]` of the image at a layer."""
        self._require_image()
        if layer not in self._activations:
            raise InputError(f"layer {layer!r}", f"one of {', '.join(self.artifact.layers)}")
        return self._activations[layer]

    @property
    def class_token(self) -> Token:
        """The token the probes read."""
        return "cls" if self._main.artifact.token == "cls" else "mean"

    @cached_property
    def taxonomy(self) -> Taxonomy:
        """Closure of the artifact's classes."""
        return Taxonomy(self.artifact.classes)

    def _token(self, layer: str) -> Tensor:
        """The tokens the artifact's SAEs read, `[tokens, d_in]`."""
        return self.backbone.select_token(self.activations(layer), layer, self.artifact.token)[0]

    def once(self, question: Hashable, answer: Callable[[], T]) -> T:
        """What `answer` makes of the image, made when the question is first asked; the latest ones are kept.

        Everyone who asks gets the same object, so leave it unchanged.
        """
        answers = self._answers  # those of this image, also when another one is set meanwhile
        found = answers.get(question)
        if found is None:
            found = answers[question] = answer()
            for old in list(answers)[:-_MOST]:
                answers.pop(old, None)
        return found

    def _require_image(self) -> Image.Image:
        if self._image is None:
            raise InputError("no image", "an image set first", "Call session.set_image(image).")
        return self._image

"""examples.json: thumbnails of the images that latents were measured on, where their licence lets them be passed on.

`licence` and `source` (text that is shown beside them), and `images`: by row of the split, as top_images.json has it,
a WebP in base64, at most `SIDE` pixels long.
"""

from __future__ import annotations

import base64
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image

from hsae.data.open_image import open_image
from hsae.errors import ArtifactError, HsaeError, InputError
from hsae.measures.weaker_images import WeakerImages

SIDE = 96
MAX_IMAGES = 10_000
MAX_BYTES = 7_000
"""Of one thumbnail: 70 MB together at the very most."""
_STRONGEST = 4
_QUALITIES = (80, 60, 40, 20, 5)


@dataclass(frozen=True)
class Examples:
    """Thumbnails by row; each is decoded only when it is asked for."""

    licence: str
    source: str
    encoded: Mapping[int, bytes]

    @property
    def rows(self) -> Container[int]:
        """Of which there is a thumbnail."""
        return self.encoded

    @property
    def note(self) -> str:
        """Said of them."""
        return f"{self.source}, {self.licence}; their maps come from these small copies."

    def image(self, row: int) -> Image.Image | None:
        """The thumbnail of a row, RGB; None without one, ArtifactError for what is no small picture."""
        if row not in self.encoded:
            return None
        try:
            image = open_image(self.encoded[row], name=f"example {row}", min_side=1)
        except HsaeError as error:
            raise ArtifactError(f"the example of row {row} is broken: {error}", "a WebP") from error
        if max(image.size) > SIDE:
            raise ArtifactError(f"the example of row {row} is {image.width} x {image.height}", f"at most {SIDE} pixels")
        return image


def check_rights(n: int, licence: str, source: str) -> None:
    """InputError unless `n` images may be kept, and it is known whose they are and under which licence."""
    if not 0 < n <= MAX_IMAGES:
        raise InputError(f"{n} examples", f"1 to {MAX_IMAGES}")
    if not (licence.strip() and source.strip()):
        raise InputError(f"examples of licence {licence!r} from {source!r}", "both: they are shown beside the images")


def write_examples(images: Iterable[tuple[int, Image.Image]], licence: str, source: str) -> dict[str, Any]:
    """Plain JSON of thumbnails of `images` (row, picture). InputError without a licence and a source, or too many."""
    encoded = {str(row): base64.b64encode(_thumbnail(image)).decode() for row, image in images}
    check_rights(len(encoded), licence, source)
    return {"licence": licence, "source": source, "images": encoded}


def read_examples(document: Mapping[str, Any] | None) -> Examples | None:
    """The examples in a document, None without one; ArtifactError for anything that is none."""
    if document is None:
        return None
    try:
        images = document["images"]
        encoded = {int(row): base64.b64decode(text, validate=True) for row, text in images.items()}
        licence, source = document["licence"], document["source"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"the document examples is broken: {error}", "what write_examples writes") from error
    if not (isinstance(licence, str) and isinstance(source, str)):
        raise ArtifactError("examples without licence or source", "text")
    if len(encoded) > MAX_IMAGES or any(len(data) > MAX_BYTES for data in encoded.values()):
        raise ArtifactError("too many or too large examples", f"{MAX_IMAGES} of {MAX_BYTES} bytes at most")
    return Examples(licence, source, encoded)


def rows_to_show(latents: Iterable[tuple[Sequence[int], WeakerImages]], n: int) -> list[int]:
    """At most `n` rows of the data set, of all latents of all layers in turn.

    latents: of each its strongest rows, strongest first, and weaker ones. First comes the strongest of every latent,
    then the second, ..., the weaker ones after `_STRONGEST` of those.
    """
    ranked = [[*top[:_STRONGEST], *weaker.images, *top[_STRONGEST:]] for top, weaker in latents]
    deepest = max(map(len, ranked), default=0)
    rows = dict.fromkeys(rows[rank] for rank in range(deepest) for rows in ranked if rank < len(rows))
    return list(rows)[:n]


def _thumbnail(image: Image.Image) -> bytes:
    """WebP of at most `SIDE` pixels and MAX_BYTES bytes, of the best quality that fits."""
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    for quality in _QUALITIES:
        stream = BytesIO()
        small.save(stream, "WEBP", quality=quality, method=4)
        if stream.tell() <= MAX_BYTES:
            break
    return stream.getvalue()

"""examples.json: thumbnails that are read as they were written, bounded, and with the rights they come with."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from hsae.artifacts.documents.examples import MAX_BYTES, SIDE, read_examples, rows_to_show, write_examples
from hsae.errors import ArtifactError, InputError
from hsae.measures.weaker_images import WeakerImages

RIGHTS = ("CC BY 4.0", "Li et al.")


def noise(side=300, seed=0):
    """The picture that compresses worst."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, 2 * side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def in_document(image, **more):
    stream = BytesIO()
    image.save(stream, "WEBP")
    text = base64.b64encode(stream.getvalue()).decode()
    return {"licence": "a", "source": "b", "images": {"3": text}} | more


def test_what_is_written_is_read_small():
    examples = read_examples(write_examples([(7, noise()), (2, Image.new("RGB", (10, 20), (9, 200, 9)))], *RIGHTS))
    assert (examples.licence, examples.source, sorted(examples.encoded)) == (*RIGHTS, [2, 7])
    assert examples.image(7).size == (SIDE, SIDE // 2)
    assert examples.image(2).size == (10, 20)
    assert np.abs(np.asarray(examples.image(2)).mean((0, 1)) - (9, 200, 9)).max() < 12
    assert all(len(data) <= MAX_BYTES for data in examples.encoded.values())
    assert examples.image(3) is None
    assert read_examples(None) is None


@pytest.mark.parametrize("rights", [("", "someone"), ("CC0", " ")])
def test_nothing_is_kept_without_licence_and_source(rights):
    with pytest.raises(InputError, match="shown beside"):
        write_examples([(0, noise())], *rights)


@pytest.mark.parametrize(
    "document",
    [{}, {"licence": "a", "source": "b", "images": {"x": ""}}, {"licence": "a", "source": "b", "images": [1]},
     in_document(noise(20), licence=3), {"licence": "a", "source": "b", "images": {"1": "!!"}},
     {"licence": "a", "source": "b", "images": {"1": base64.b64encode(bytes(MAX_BYTES + 1)).decode()}}],
)  # fmt: skip
def test_a_broken_document_is_an_error(document):
    with pytest.raises(ArtifactError):
        read_examples(document)


def test_what_is_no_small_picture_is_an_error():
    with pytest.raises(ArtifactError, match="at most 96"):
        read_examples(in_document(Image.new("RGB", (SIDE + 1, 40)))).image(3)
    text = base64.b64encode(b"no picture").decode()
    with pytest.raises(ArtifactError, match="broken"):
        read_examples({"licence": "a", "source": "b", "images": {"3": text}}).image(3)


def test_the_strongest_of_every_latent_come_first():
    latents = [([4, 5], WeakerImages()), ([], WeakerImages()), ([6, 4, 7], WeakerImages())]
    assert rows_to_show(latents, 10) == [4, 6, 5, 7]
    assert rows_to_show(latents, 3) == [4, 6, 5]
    assert rows_to_show([], 3) == []


def test_weaker_images_come_after_four_strongest():
    latents = [([1, 2, 3, 4, 5], WeakerImages(((10, 50),), ((11, 2),)))]
    assert rows_to_show(latents, 10) == [1, 2, 3, 4, 10, 11, 5]

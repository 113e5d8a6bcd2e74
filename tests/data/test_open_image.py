"""Whatever an image comes as, it is opened to the same pixels."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import hsae
from hsae.backbones.base import Preprocessing
from hsae.data.samples import load_samples
from hsae.errors import ImageError
from hsae.views.page.uploads import read_upload

STARTER = load_samples("starter")
RANDOM = np.random.default_rng(0)


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode == "RGB" and one.size == other.size and one.tobytes() == other.tobytes()


def starter_file(row: int) -> Path:
    return STARTER.encoded(row)


@pytest.mark.slow
def test_all_starter_photographs_are_the_same_for_the_library_and_the_data_loader():
    for row in range(len(STARTER)):
        with Image.open(starter_file(row)) as image:
            assert same(hsae.open_image(image), STARTER.read(row).image), STARTER.key(row)


@pytest.mark.parametrize("row", range(0, len(STARTER), 40))
def test_a_starter_photograph_is_the_same_in_every_form(row):
    path = starter_file(row)
    with Image.open(path) as image, path.open("rb") as stream:
        loaded = image.copy()
        forms = [path, str(path), path.read_bytes(), stream, image, loaded, np.asarray(image.convert("RGBA"))]
        opened = [hsae.open_image(form) for form in forms]
    seen = STARTER.read(row).image
    assert all(same(image, seen) for image in opened)
    assert same(read_upload(f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode()}"), seen)
    crops = [Preprocessing(64).crop(form) for form in (path, loaded, seen)]
    assert all(same(crop, crops[0]) for crop in crops)


def test_control_pillow_alone_shows_another_picture():
    row = next(row for row in range(len(STARTER)) if STARTER.read(row).mask is not None)
    with Image.open(starter_file(row)) as image:
        assert not same(image.convert("RGB"), STARTER.read(row).image)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


PHOTO = Image.fromarray(RANDOM.integers(0, 255, (40, 60, 3), np.uint8))


def turned(kind: str, orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(PHOTO, kind, exif=exif.tobytes())


def animated(kind: str) -> bytes:
    return saved(PHOTO, kind, save_all=True, append_images=[ImageOps.invert(PHOTO)])


DEEP = np.tile(np.arange(256, dtype=np.uint16) * 257, (16, 1))
FILES = {
    **{f"turned {kind}": turned(kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF")},
    **{f"animated {kind}": animated(kind) for kind in ("GIF", "PNG", "WEBP", "TIFF")},
    "16 bits": saved(Image.fromarray(DEEP), "PNG"),
    "float": saved(Image.fromarray(DEEP.astype(np.float32) / 65535), "TIFF"),
    "cmyk": saved(PHOTO.convert("CMYK"), "JPEG"),
    "palette": saved(PHOTO.quantize(16), "PNG", transparency=3),
    "gray with alpha": saved(PHOTO.convert("LA"), "PNG"),
    "bits": saved(PHOTO.convert("1"), "PNG"),
    "tall cut-out": saved(Image.new("RGBA", (30, 90), (9, 99, 199, 100)), "PNG"),
    "large jpeg": saved(Image.fromarray(RANDOM.integers(0, 255, (2200, 3000, 3), np.uint8)), "JPEG"),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
@pytest.mark.parametrize("loaded", [False, True], ids=["just opened", "loaded"])
def test_a_pil_image_is_what_its_file_is(data, loaded, request):
    if loaded and "large" in request.node.callspec.id:
        pytest.skip("its pixels were asked for, so they are what is scaled down")
    with Image.open(BytesIO(data)) as image:
        if loaded:
            image.load()
        mode, size = image.mode, image.size
        assert same(hsae.open_image(image), hsae.open_image(data))
        assert (image.mode, image.size) == (mode, size), "it is not changed itself"


def test_a_turned_image_is_not_turned_again():
    with Image.open(BytesIO(turned("JPEG"))) as image:
        upright = ImageOps.exif_transpose(image)
    once = hsae.open_image(upright)
    assert once.size == (40, 60)
    assert same(hsae.open_image(once), once)


def test_a_later_frame_is_taken_when_it_was_sought():
    with Image.open(BytesIO(animated("TIFF"))) as image:
        first = hsae.open_image(image)
        image.seek(1)
        assert same(hsae.open_image(image), ImageOps.invert(first))


def test_arrays_of_all_kinds_are_the_images_they_show():
    gray = DEEP.astype(np.float64) / 65535
    shown = hsae.open_image(Image.fromarray((DEEP // 257).astype(np.uint8)))
    colours = np.repeat(DEEP[:, :, None], 3, axis=2)
    for values in (DEEP, gray, gray.astype(np.float32), DEEP.astype(np.int64), colours, gray[:, :, None], gray * 255):
        assert same(hsae.open_image(values), shown)
    assert sorted(hsae.open_image(DEEP > 30000).getcolors()) == [(16 * 117, (0, 0, 0)), (16 * 139, (255, 255, 255))]
    cut_out = np.dstack([np.asarray(PHOTO), np.zeros((40, 60), np.uint8)])
    assert hsae.open_image(cut_out).getcolors() == [(60 * 60, (255, 255, 255))]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (np.zeros((3, 40, 40)), "colours last"),
        (np.zeros((40,)), "height, width"),
        (np.zeros((1, 40, 40, 3)), "height, width"),
        (np.array([["a"]]), "numbers"),
        (np.zeros((0, 9)), "with pixels"),
        (np.full((9, 9), np.nan), "non-finite"),
        (np.full((9, 9), -1), "negative"),
        (np.full((9, 9), 1e12), "unknown scale"),
        (np.zeros((9, 2)), "2 x 9 pixels"),
        (Image.new("RGB", (0, 9)), "0 x 9 pixels"),
        (Image.new("RGB", (400, 9)), "20 times"),
        (7, "7 as an image"),
        (None, "None as an image"),
        (b"", "empty"),
        ("no-such-file.png", "no-such-file.png cannot be opened"),
        ("a\0b", "cannot be opened"),
        (BytesIO(b"text"), "is text"),
    ],
)
def test_what_is_no_image_is_named(source, says):
    with pytest.raises(ImageError, match=says):
        hsae.open_image(source)


def test_a_closed_or_unreadable_stream_is_an_image_error(tmp_path):
    stream = BytesIO(turned("PNG"))
    stream.close()
    with pytest.raises(ImageError, match="cannot be opened"):
        hsae.open_image(stream)
    image = Image.open(BytesIO(turned("PNG")))
    image.close()
    with pytest.raises(ImageError, match="broken"):
        hsae.open_image(image)

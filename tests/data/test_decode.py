"""Hostile and unusual images: decoded to the right RGB, or refused with an ImageError before anything is allocated."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFile

from hsae.data import decode
from hsae.data.decode import decode_with_mask
from hsae.data.limits import Limits
from hsae.errors import ImageError


def decode_image(source, name: str | None = None, **limits) -> Image.Image:
    return decode_with_mask(source, name=name, limits=Limits(**limits))[0]


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def gray_ramp(dtype, step: int) -> np.ndarray:
    return np.tile(np.arange(256, dtype=dtype) * step, (16, 1))


def assert_ramp(image: Image.Image) -> None:
    assert image.mode == "RGB"
    expected = np.repeat(gray_ramp(np.uint8, 1)[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(np.asarray(image), expected)


RAMP = gray_ramp(np.uint8, 1)
DEEP = {
    "16-bit png": (gray_ramp(np.uint16, 257), "PNG"),
    "16-bit tiff": (gray_ramp(np.uint16, 257), "TIFF"),
    "16-bit pgm": (gray_ramp(np.uint16, 257), "PPM"),
    "32-bit tiff holding 8 bits": (gray_ramp(np.int32, 1), "TIFF"),
    "32-bit tiff holding 16 bits": (gray_ramp(np.int32, 257), "TIFF"),
    "float tiff up to 1": (gray_ramp(np.float32, 1) / np.float32(255), "TIFF"),
    "float tiff up to 255": (gray_ramp(np.float32, 1), "TIFF"),
}


@pytest.mark.parametrize(("values", "kind"), DEEP.values(), ids=DEEP)
def test_deep_gray_is_rescaled_and_not_saturated(values, kind):
    assert_ramp(decode_image(encoded(Image.fromarray(values), kind)))


def test_a_dark_16_bit_image_stays_dark():
    dark = np.full((16, 16), 514, dtype=np.uint16)
    assert np.asarray(decode_image(encoded(Image.fromarray(dark)))).max() == 2


@pytest.mark.parametrize("values", [np.full((16, 16), -1.0), np.full((16, 16), np.nan), np.full((16, 16), 1e9)])
def test_float_values_without_a_known_scale_are_refused(values):
    with pytest.raises(ImageError, match="gray values"):
        decode_image(encoded(Image.fromarray(values.astype(np.float32)), "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "PPM"])
def test_gray_becomes_rgb(kind):
    assert_ramp(decode_image(encoded(Image.fromarray(RAMP), kind)))


def test_bilevel_becomes_black_and_white():
    bits = Image.fromarray(RAMP).point(lambda value: 255 * (value > 99), mode="1")
    assert np.asarray(decode_image(encoded(bits)))[0, [99, 100]].tolist() == [[0, 0, 0], [255, 255, 255]]


def half_transparent(mode: str) -> Image.Image:
    """Left half transparent black, right half opaque gray 100."""
    image = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    image.paste((100, 100, 100, 255), (10, 0, 20, 10))
    return image.convert(mode)


def palette_with_alpha() -> Image.Image:
    image = Image.new("P", (20, 10), 0)
    image.putpalette([0, 0, 0, 100, 100, 100])
    image.paste(1, (10, 0, 20, 10))
    return image


ALPHA = {
    "RGBA png": encoded(half_transparent("RGBA")),
    "LA png": encoded(half_transparent("LA")),
    "palette png, alpha bytes": encoded(palette_with_alpha(), transparency=b"\x00\xff"),
    "palette gif, index": encoded(palette_with_alpha(), "GIF", transparency=0),
    "colour key png": encoded(half_transparent("RGB"), transparency=(0, 0, 0)),
    "gray key png": encoded(half_transparent("L"), transparency=0),
    "webp": encoded(half_transparent("RGBA"), "WEBP", lossless=True, exact=True),
}


@pytest.mark.parametrize("data", ALPHA.values(), ids=ALPHA)
def test_transparency_becomes_white_and_the_mask_is_the_object(data):
    image, mask = decode_with_mask(data)
    pixels = np.asarray(image)
    assert (pixels[:, :10] == 255).all()
    assert (pixels[:, 10:] == 100).all()
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, np.arange(20) >= np.full((10, 1), 10))


def test_half_alpha_is_blended_and_the_mask_cuts_at_128():
    pixels = np.zeros((10, 10, 4), dtype=np.uint8)
    pixels[:, :5, 3], pixels[:, 5:, 3] = 127, 128
    image, mask = decode_with_mask(encoded(Image.fromarray(pixels)))
    assert np.asarray(image)[0, [0, 9], 0].tolist() == [128, 127]
    assert mask[0].tolist() == [False] * 5 + [True] * 5


def test_an_opaque_image_has_no_mask():
    assert decode_with_mask(encoded(Image.fromarray(RAMP)))[1] is None


def without_adobe_marker(data: bytes) -> bytes:
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + int.from_bytes(data[start + 2 : start + 4], "big") :]


@pytest.mark.parametrize("adobe", [True, False], ids=["adobe (inverted)", "plain"])
def test_cmyk_jpeg_has_the_right_colours(adobe):
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0) if adobe else (255, 0, 0, 255))
    data = encoded(red, "JPEG", quality=100)
    red_pixel = np.asarray(decode_image(data if adobe else without_adobe_marker(data)))[8, 8].astype(int)
    assert np.abs(red_pixel - [255, 0, 0]).max() <= 3


def quadrants() -> Image.Image:
    """24 x 16: red, green over blue, white."""
    image = Image.new("RGB", (24, 16), "white")
    for colour, box in {"red": (0, 0, 12, 8), "lime": (12, 0, 24, 8), "blue": (0, 8, 12, 16)}.items():
        image.paste(colour, box)
    return image


UPRIGHT = {1: "RGBW", 2: "GRWB", 3: "WBGR", 4: "BWRG", 5: "RBGW", 6: "BRWG", 7: "WGBR", 8: "GWRB"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied_once(orientation, kind):
    if kind == "AVIF" and "AVIF" not in decode.FORMATS:
        pytest.skip("this Pillow reads no AVIF")
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = decode_image(encoded(quadrants(), kind, exif=exif.tobytes()))
    width, height = image.size
    assert (width, height) == ((16, 24) if orientation >= 5 else (24, 16))
    names = {(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 1): "W"}
    seen = [image.getpixel((width * x // 4, height * y // 4)) for y in (1, 3) for x in (1, 3)]
    assert "".join(names[tuple(int(value > 127) for value in pixel)] for pixel in seen) == UPRIGHT[orientation]
    assert image.getexif().get(0x0112, 1) == 1  # what comes after us must not turn it again
    assert not image.info


def test_the_mask_turns_with_the_image():
    exif = Image.Exif()
    exif[0x0112] = 6
    image, mask = decode_with_mask(encoded(half_transparent("RGBA"), "PNG", exif=exif.tobytes()))
    assert image.size == (10, 20)
    np.testing.assert_array_equal(mask, np.asarray(image)[:, :, 0] == 100)
    assert mask[10:].all()
    assert not mask[:10].any()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_broken_exif_block_does_not_cost_the_image():
    broken = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x12"
    assert decode_image(encoded(quadrants(), "JPEG", exif=broken)).size == (24, 16)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animations_give_their_first_frame(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert Image.open(BytesIO(data)).n_frames == 3
    image = decode_image(data)
    assert type(image) is Image.Image
    assert np.abs(np.asarray(image)[8, 8].astype(int) - [255, 0, 0]).max() <= 3


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
BROKEN = {
    "empty": (b"", "empty"),
    "text": (b"hello, I am no image\n" * 9, "text"),
    "html": ("<html>größer</html>".encode(), "text"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', "SVG"),
    "binary": (bytes(range(256)), "unknown format"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "format HEIC"),
    "heif": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(99), "format HEIC"),
    "jpeg xl": (b"\xff\x0a" + bytes(99), "format JPEG XL"),
    "jpeg xl in a box": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "format JPEG XL"),
    "movie": (b"\0\0\0\x18ftypisom\0\0\0\0isom" + bytes(99), "unknown format"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "text"),
    "icon": (encoded(NOISE, "ICO"), "unknown format"),
    "1x1": (encoded(Image.new("RGB", (1, 1))), "1 x 1 pixels"),
    "7 high": (encoded(Image.new("RGB", (64, 7))), "at least 8 pixels"),
    "1x20000": (encoded(Image.new("L", (1, 20000))), "1 x 20000"),
    "21:1": (encoded(Image.new("L", (210, 10))), "at most 20 times"),
    **{
        f"truncated {kind}": (encoded(NOISE, kind)[:-800], "broken or cut short")
        for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
    },
    "cut header": (encoded(NOISE)[:20], "broken"),
}


@pytest.mark.parametrize(("data", "says"), BROKEN.values(), ids=BROKEN)
def test_what_is_no_image_is_refused_with_its_name_and_reason(data, says):
    with pytest.raises(ImageError, match=says) as caught:
        decode_image(data, name="holiday.jpg")
    assert str(caught.value).startswith("holiday.jpg ")
    assert caught.value.expected


def test_shape_limits_are_parameters():
    assert decode_image(BROKEN["21:1"][0], max_aspect=21).size == (210, 10)
    assert decode_image(BROKEN["7 high"][0], min_side=7).size == (64, 7)
    with pytest.raises(ImageError, match="at least 65 pixels"):
        decode_image(encoded(NOISE), min_side=65)


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares any size and holds a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00")) + chunk(b"IEND", b"")


def jpeg_header(width: int, height: int) -> bytes:
    data = bytearray(encoded(NOISE, "JPEG"))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def gif_header(width: int, height: int) -> bytes:
    data = bytearray(encoded(Image.new("P", (16, 16)), "GIF"))
    data[6:10] = struct.pack("<HH", width, height)
    return bytes(data)


BOMBS = {
    "png 20.1 M": png_header(5025, 4000),
    "png 120 M": png_header(12000, 10000),
    "png 900 M": png_header(30000, 30000),
    "png 4e18": png_header(2**31 - 1, 2**31 - 1),
    "jpeg 50.4 M": jpeg_header(8400, 6000),
    "jpeg 4 G": jpeg_header(65000, 65000),
    "gif 4 G": gif_header(65000, 65000),
    "ppm 900 M": b"P6 30000 30000 255\n" + bytes(99),
}


@pytest.fixture
def no_pixels(monkeypatch):
    """Let any decoding of pixels, and so any large allocation, fail the test."""
    loaded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: loaded.append(image))
    yield loaded
    assert not loaded


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("warn", ["error", "ignore"])
def test_bombs_are_refused_before_decoding(data, warn, no_pixels):
    assert len(data) < 10_000
    with warnings.catch_warnings():
        warnings.simplefilter(warn)
        with pytest.raises(ImageError, match=r"at most (20|50) million pixels"):
            decode_image(data)


def test_control_the_bomb_test_sees_decoding(monkeypatch):
    loaded = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: loaded.append(image))
    with pytest.raises(ImageError):
        decode_image(png_header(5000, 4000))
    assert loaded


def test_a_large_jpeg_photo_is_scaled_while_decoding():
    """48 million pixels, as a telephone takes them, of which only a sixteenth is ever decoded."""
    data = encoded(Image.new("L", (8064, 6048), 77), "JPEG")
    image = decode_image(data)
    assert image.size == (1024, 768)
    assert image.getpixel((500, 500)) == (77, 77, 77)


def test_long_sides_are_reduced_with_their_mask():
    image, mask = decode_with_mask(encoded(half_transparent("RGBA").resize((400, 200))), limits=Limits(max_side=100))
    assert image.size == (100, 50)
    assert mask.shape == (50, 100)
    assert mask.mean() == pytest.approx(0.5, abs=0.02)
    assert decode_image(encoded(NOISE), max_side=64).size == (64, 64)


def test_paths_and_files_and_bytes_give_the_same(tmp_path):
    path = tmp_path / "picture.gif"  # the name lies: only the content counts
    path.write_bytes(encoded(NOISE))
    with path.open("rb") as stream:
        from_file = decode_image(stream)
        assert not stream.closed
    for image in (from_file, decode_image(path), decode_image(str(path)), decode_image(path.read_bytes())):
        np.testing.assert_array_equal(np.asarray(image), np.asarray(NOISE))


@pytest.mark.parametrize("name", ["missing.jpg", "."])
def test_an_unreadable_path_is_an_image_error_without_the_folder(tmp_path, name):
    with pytest.raises(ImageError, match="cannot be opened") as caught:
        decode_image(tmp_path / name, name=name)
    assert str(tmp_path) not in str(caught.value)


def test_nothing_global_changes_and_threads_do_not_mix():
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    sources = [encoded(Image.new("RGB", (32, 32), (shade, 0, 0))) for shade in range(0, 256, 8)]
    seen: dict[int, set] = {}

    def work(number: int) -> None:
        seen[number] = {decode_image(sources[number]).getpixel((0, 0)) for _ in range(5)}

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(sources))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: {(number * 8, 0, 0)} for number in range(len(sources))}
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))

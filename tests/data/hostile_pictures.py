"""Small files that ask for hours of work: made when a test asks for one, never stored."""

from __future__ import annotations

import lzma
import re
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from itertools import pairwise

import numpy as np
from PIL import Image, features

SIDE = 4000  # 4000 x 5000 are the 20 million pixels that are allowed
MB = 1_000_000


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def flat(width: int = 5000, height: int = SIDE, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height), 77 if mode in ("L", "P") else (200, 100, 50, 128)[: len(mode)])


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    tile = np.random.default_rng(0).integers(0, 255, (250, 250, len(mode)), dtype=np.uint8).squeeze()
    times = (-(-height // 250), -(-width // 250), 1)[: tile.ndim]
    return Image.fromarray(np.tile(tile, times)[:height, :width])


# JPEG


def segment(code: int, content: bytes) -> bytes:
    return b"\xff" + bytes([code]) + struct.pack(">H", len(content) + 2) + content


def scans_of(data: bytes) -> list[bytes]:
    """The file in pieces: the head, every scan with what stands before the next, the end."""
    at = [match.start() for match in re.finditer(rb"\xff\xda", data)]
    edges = [0, *at, len(data) - 2, len(data)]
    return [data[first:last] for first, last in pairwise(edges)]


def jpeg_scans(image: Image.Image, which: int, times: int, between: bytes = b"", **options) -> bytes:
    """A progressive JPEG with one of its scans repeated."""
    head, *scans, end = scans_of(encoded(image, "JPEG", progressive=True, **options))
    return head + b"".join(scans) + (between + scans[which]) * times + end


def jpeg_head(extra: bytes) -> bytes:
    """A small JPEG with segments put behind its start."""
    data = encoded(noise(64, 64), "JPEG")
    return data[:2] + extra + data[2:]


def ifd_bomb(entries: int = 5400, count: int = 30_000) -> bytes:
    """TIFF directory, as of Exif, whose every entry is the same long list of numbers."""
    rows = b"".join(struct.pack("<HHII", 40_000 + n % 20_000, 3, count, 0) for n in range(entries))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + rows[: 65_500 - 20] + bytes(4)


def jpeg_baseline_scans(times: int) -> bytes:
    head, scan, end = scans_of(encoded(flat(mode="L"), "JPEG"))
    return head + scan * times + end


def jpeg_hidden_scans(code: int) -> bytes:
    """Scans in what looks like the content of a segment that decoders skip by two bytes."""
    head, *scans, end = scans_of(encoded(flat(1200, 1000), "JPEG", progressive=True))
    fake = b"\xff" + bytes([code]) + b"\xff\xff"
    return head + b"".join(scans) + (fake + scans[-1] * 1000) * 2 + end


def jpeg_arithmetic() -> bytes:
    return encoded(flat(mode="L"), "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1)


def jpeg_restarts() -> bytes:
    head, scan, end = scans_of(encoded(flat(2000, 2000), "JPEG", restart_marker_blocks=1))
    return head + scan + end


# PNG


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    *more: bytes, pixels: bytes | None = None, size=(64, 64), depth: int = 8, colour: int = 2, interlace=0
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlace))
    if pixels is None:
        pixels = zlib.compress(bytes(size[1] * (1 + size[0] * depth * {0: 1, 2: 3, 3: 1, 6: 4}[colour] // 8)), 1)
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def zlib_bomb(size: int = MB) -> bytes:
    return zlib.compress(bytes(size), 9)


def empty_blocks(size: int) -> bytes:
    """A deflate stream of blocks that say their codes, at length, and then hold nothing."""
    bits = "0" + "01"  # not the last, dynamic codes: bits are read from the lowest
    bits += f"{0:05b}"[::-1] + f"{0:05b}"[::-1] + f"{14:04b}"[::-1]  # 257 literals, 1 distance, 18 lengths of lengths
    lengths = {18: 1, 1: 2, 0: 2}
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1]
    bits += "".join(f"{lengths.get(symbol, 0):03b}"[::-1] for symbol in order)
    bits += "0" + f"{127:07b}"[::-1] + "0" + f"{107:07b}"[::-1] + "11" + "10"  # 138 and 118 zeros, length 1, 0
    bits += "0"  # the end of the block
    whole = bits * 8
    block = bytes(int(whole[at : at + 8][::-1], 2) for at in range(0, len(whole), 8))
    return b"\x78\x01" + block * (size // len(block))


# others


def gif(before: bytes = b"", data: bytes | None = None, size=(500, 500)) -> bytes:
    start = b"GIF89a" + struct.pack("<HH", *size) + b"\xf0\0\0" + bytes(6)
    frame = b"," + struct.pack("<HHHH", 0, 0, *size) + b"\0\x02"
    return start + before + frame + (b"\x02\x4c\x01\0" if data is None else data) + b";"


def gif_frames(times: int = 100_000) -> bytes:
    data = encoded(flat(64, 64, "P"), "GIF")
    frame = data.index(b",", 13 + 3 * 2)
    return data[:frame] + data[frame:-1] * times + b";"


def blocks(content: bytes) -> bytes:
    pieces = [content[at : at + 255] for at in range(0, len(content), 255)]
    return b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_frames(times: int = 100_000) -> bytes:
    inside = encoded(flat(64, 64), "WEBP")[12:]
    place = bytes(6) + (63).to_bytes(3, "little") * 2 + bytes(4)
    canvas = b"\x02\0\0\0" + (63).to_bytes(3, "little") * 2
    return riff((b"VP8X", canvas), (b"ANIM", bytes(6)), *[(b"ANMF", place + inside)] * times)


def webp_canvas() -> bytes:
    return riff((b"VP8X", bytes(4) + (16382).to_bytes(3, "little") * 2), (b"VP8 ", encoded(flat(64, 64), "WEBP")[20:]))


def tiff(tags: dict[int, tuple[int, int, bytes]], tail: bytes = b"") -> bytes:
    """A TIFF of these tags: {tag: (type, count, bytes of the values)}."""
    n = len(tags)
    at = 8 + 2 + 12 * n + 4
    rows, values = b"", b""
    for tag, (kind, count, content) in sorted(tags.items()):
        if len(content) <= 4:
            rows += struct.pack("<HHI", tag, kind, count) + content.ljust(4, b"\0")
        else:
            rows += struct.pack("<HHII", tag, kind, count, at + len(values))
            values += content
    return b"II*\0\x08\0\0\0" + struct.pack("<H", n) + rows + bytes(4) + values + tail


def tiff_pieces(side: int, tile: int | None, content: bytes, compression: int, aliased: bool = True) -> bytes:
    """A gray TIFF in tiles, or strips of one row, that all lie at the same place."""
    n = (-(-side // tile)) ** 2 if tile else side
    long = lambda *values: (4, len(values), struct.pack(f"<{len(values)}I", *values))  # noqa: E731
    tags = {256: long(side), 257: long(side), 258: long(8), 259: long(compression), 262: long(1), 277: long(1)}
    places = (324, 325) if tile else (273, 279)
    tags |= {322: long(tile), 323: long(tile)} if tile else {278: long(1)}
    tags |= {places[0]: (4, n, bytes(4 * n)), places[1]: (4, n, struct.pack("<I", len(content)) * n)}
    start = len(tiff(tags))
    tags[places[0]] = (4, n, struct.pack("<I", start) * n)
    return tiff(tags, content)


def clear_codes(size: int) -> bytes:
    """LZW as in TIFF: one pixel, then the table is emptied, and so on: 18 bits each."""
    group = "".join(f"{code:09b}" for code in (256, 7) * 4)
    block = bytes(int(group[at : at + 8], 2) for at in range(0, len(group), 8))
    return block * (size // len(block))


def avif_frames(times: int = 20_000) -> bytes:
    """An AVIF whose picture is followed by itself, again and again."""
    data = encoded(flat(1000, 1000), "AVIF")
    at = data.index(b"mdat") + 4
    picture = data[at:]
    length = struct.pack(">I", len(picture))
    longer = struct.pack(">I", len(picture) * times)
    return (
        data[: at - 8].replace(length, longer) + struct.pack(">I", 8 + len(picture) * times) + b"mdat" + picture * times
    )


def bmp_rle(size: int, run: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, 5000, 4000, 1, 8, 1, size, 0, 0, 2, 2)
    return b"BM" + struct.pack("<IHHI", 62 + size, 0, 0, 62) + header + bytes(8) + run * (size // len(run))


def deep_gray() -> bytes:
    return encoded(Image.fromarray(np.tile(np.arange(256, dtype=np.uint16) * 257, (4000, 19))), "PNG", compress_level=1)


def grown(part: bytes, size: int = 15 * MB) -> bytes:
    return part * (size // len(part))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "jpeg: last scan 400 times": lambda: jpeg_scans(flat(), -1, 400),
    "jpeg: last scan 90 times": lambda: jpeg_scans(flat(), -1, 90),
    "jpeg: first scan 90 times": lambda: jpeg_scans(flat(mode="L"), 0, 90),
    "jpeg: a middle scan 80 times": lambda: jpeg_scans(flat(), 4, 80),
    "jpeg: small, 90 scans": lambda: jpeg_scans(noise(1300, 1000), -1, 90),
    "jpeg: tiny, 100 000 scans": lambda: jpeg_scans(flat(16, 16), -1, 100_000),
    "jpeg: scans behind comments": lambda: jpeg_scans(flat(), -1, 400, segment(0xFE, b"\xff\xd9 the end")),
    "jpeg: 50 million pixels, 30 scans": lambda: jpeg_scans(flat(8300, 6000), 3, 20),
    "jpeg: 4:4:4 progressive": lambda: jpeg_scans(noise(5000, 4000), -1, 0, subsampling=0, quality=50),
    "jpeg: the first scan again": lambda: jpeg_baseline_scans(300),
    "jpeg: scans under code 02": lambda: jpeg_hidden_scans(0x02),
    "jpeg: scans under code bf": lambda: jpeg_hidden_scans(0xBF),
    "jpeg: scans under code e0": lambda: jpeg_hidden_scans(0xE0),
    "jpeg: arithmetic coding": jpeg_arithmetic,
    "jpeg: a restart every block": jpeg_restarts,
    "jpeg: 48 million pixels of noise": lambda: encoded(noise(7900, 6000), "JPEG", quality=50),
    "jpeg: millions of comments": lambda: jpeg_head(grown(segment(0xFE, b""))),
    "jpeg: long comments": lambda: jpeg_head(grown(segment(0xFE, bytes(65_000)))),
    "jpeg: millions of tables": lambda: jpeg_head(grown(segment(0xDD, b"\0\0"))),
    "jpeg: fill bytes": lambda: jpeg_head(b"\xff" * 15 * MB),
    "jpeg: zeros between segments": lambda: jpeg_head(bytes(15 * MB)),
    "jpeg: exif of lists": lambda: jpeg_head(segment(0xE1, b"Exif\0\0" + ifd_bomb())),
    "jpeg: many exifs": lambda: jpeg_head(segment(0xE1, b"Exif\0\0" + ifd_bomb()) * 200),
    "jpeg: mpf of lists": lambda: jpeg_head(segment(0xE2, b"MPF\0" + ifd_bomb())),
    "jpeg: icc in pieces": lambda: jpeg_head(segment(0xE2, b"ICC_PROFILE\0\x01\xff" + bytes(60_000)) * 250),
    "jpeg: photoshop": lambda: jpeg_head(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\0" * 5000) * 200),
    "png: profiles": lambda: png(grown(chunk(b"iCCP", b"x\0\0" + zlib_bomb()))),
    "png: compressed text": lambda: png(grown(chunk(b"zTXt", b"x\0\0" + zlib_bomb()))),
    "png: international text": lambda: png(grown(chunk(b"iTXt", b"x\0\x01\0\0\0" + zlib_bomb()))),
    "png: text": lambda: png(grown(chunk(b"tEXt", b"x\0y"))),
    "png: empty chunks": lambda: png(grown(chunk(b"abCd", b""))),
    "png: empty pixels": lambda: png(grown(chunk(b"IDAT", b""))),
    "png: palettes": lambda: png(grown(chunk(b"PLTE", bytes(768)))),
    "png: transparencies": lambda: png(grown(chunk(b"tRNS", bytes(6)))),
    "png: exif of lists": lambda: png(chunk(b"eXIf", ifd_bomb())),
    "png: long exif of lists": lambda: png(chunk(b"eXIf", ifd_bomb(count=5 * MB) + bytes(10 * MB))),
    "png: frames": lambda: png(chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), grown(chunk(b"fcTL", bytes(26)))),
    "png: frame data": lambda: png(chunk(b"acTL", struct.pack(">II", 9, 0)), grown(chunk(b"fdAT", bytes(9)))),
    "png: blocks of nothing": lambda: png(pixels=empty_blocks(18 * MB), size=(5000, 4000)),
    "png: stored blocks of nothing": lambda: png(pixels=b"\x78\x01" + b"\0\0\0\xff\xff" * 3 * MB, size=(5000, 4000)),
    "png: zeros, 16 bits, interlaced": lambda: png(
        size=(5000, 4000), depth=16, colour=6, interlace=1, pixels=zlib_bomb(161 * MB)
    ),
    "png: zeros, 16 bits": lambda: png(size=(5000, 4000), depth=16, colour=6),
    "png: 20 million gray pixels of 16 bits": deep_gray,
    "png: 20 million transparent pixels": lambda: encoded(noise(5000, 4000, "RGBA"), "PNG", compress_level=1),
    "gif: a comment": lambda: gif(b"!\xfe" + blocks(bytes(15 * MB))),
    "gif: comments": lambda: gif(grown(b"!\xfe\x01x\0")),
    "gif: extensions": lambda: gif(grown(b"!\xf9\x04\0\0\0\0\0")),
    "gif: application blocks": lambda: gif(b"!\xff\x0bXMP DataXMP" + blocks(bytes(15 * MB))),
    "gif: emptied tables": lambda: gif(data=blocks(bytes([0b00100100]) * 15 * MB), size=(5000, 4000)),
    "gif: frames": gif_frames,
    "webp: frames": webp_frames,
    "webp: a huge canvas": webp_canvas,
    "webp: exif of lists": lambda: riff(
        (b"VP8X", b"\x08\0\0\0" + (63).to_bytes(3, "little") * 2),
        (b"VP8 ", encoded(flat(64, 64), "WEBP")[20:]),
        (b"EXIF", ifd_bomb(count=5 * MB) + bytes(15 * MB)),
    ),
    "webp: chunks": lambda: riff(*[(b"abcd", b"")] * 1_000_000),
    "webp: 6.3 million pixels of noise": lambda: encoded(noise(3000, 2100), "WEBP", quality=60, method=0),
    "webp: 6.3 million transparent pixels": lambda: encoded(noise(3000, 2100, "RGBA"), "WEBP", quality=30, method=0),
    "webp: 6 million lossless pixels": lambda: encoded(noise(3000, 1990), "WEBP", lossless=True, method=0, quality=0),
    "tiff: tiles of a pixel": lambda: tiff_pieces(1900, 1, b"x", 1),
    "tiff: tiles of 16 pixels": lambda: tiff_pieces(4400, 16, bytes(256), 1),
    "tiff: rows": lambda: tiff_pieces(4400, None, bytes(4400), 1),
    "tiff: emptied tables, the same strip": lambda: tiff_pieces(4400, None, clear_codes(MB), 5),
    "tiff: emptied tables": lambda: tiff_pieces(4400, 4400, clear_codes(15 * MB), 5),
    "tiff: blocks of nothing": lambda: tiff_pieces(4400, 4400, empty_blocks(15 * MB), 8),
    "tiff: a jpeg of 400 scans": lambda: tiff_pieces(1024, 1024, jpeg_scans(flat(1024, 1024, "L"), -1, 20_000), 7),
    "tiff: jpegs": lambda: tiff_pieces(4096, 128, jpeg_scans(flat(128, 128, "L"), -1, 3000), 7),
    "tiff: packbits of nothing": lambda: tiff_pieces(4400, 4400, b"\x80" * 15 * MB, 32773),
    "tiff: fax": lambda: tiff_pieces(4400, 4400, bytes(15 * MB), 4),
    "tiff: zstd": lambda: tiff_pieces(4400, 4400, bytes(MB), 50000),
    "tiff: lzma": lambda: tiff_pieces(4400, None, lzma.compress(bytes(4400)), 34925),
    "tiff: webp": lambda: tiff_pieces(4400, 4400, encoded(flat(4400, 4400), "WEBP"), 50001),
    "tiff: lists": lambda: ifd_bomb(count=5 * MB) + bytes(15 * MB),
    "tiff: a directory of itself": lambda: tiff({330: (4, 1, struct.pack("<I", 8))}),
    "bmp: runs of a pixel": lambda: bmp_rle(15 * MB, b"\x01\x01"),
    "bmp: ends of rows": lambda: bmp_rle(15 * MB, b"\0\0"),
    "bmp: jumps": lambda: bmp_rle(15 * MB, b"\0\x02\0\x01"),
    "ppm: numbers as text": lambda: b"P3 5000 4000 255\n" + b"7 " * 7 * MB,
    "ppm: odd scale": lambda: b"P6 3000 2000 1000\n" + bytes(36 * MB),
    "ppm: a comment": lambda: b"P6 #" + b"x" * 15 * MB + b"\n64 64 255\n" + bytes(64 * 64 * 3),
    "ppm: space": lambda: b"P6 " + b" " * 15 * MB + b"64 64 255\n" + bytes(64 * 64 * 3),
    "ppm: bits as text": lambda: b"P1 5000 4000\n" + b"0 " * 10 * MB,
}  # fmt: skip
if features.check("avif"):
    HOSTILE |= {
        "avif: frames": avif_frames,
        "avif: 1.2 million transparent pixels of noise": lambda: encoded(noise(1200, 1000, "RGBA"), "AVIF", speed=10),
        "avif: 20 million pixels": lambda: encoded(flat(), "AVIF", speed=10),
    }

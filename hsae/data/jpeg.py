"""JPEG files by their segments: how often the decoder has to go over the picture, and what it needs for that.

A progressive JPEG comes in scans, each of which may visit every block of 8 x 8 pixels again, for a few bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import ceil

from hsae.data.limits import TooMuchWork

MAX_SCANS = 100  # programs write 1 to 20
MAX_VISITS = 10_000_000  # of blocks in all scans, 0.13 µs each: ten scans of 20 million pixels are 4 400 000
_MAX_SEGMENTS = 10_000

# Codes below 0xc0, 0x00 (an 0xff of the pixels) and the restart markers 0xd0 to 0xd7 begin no segment.
_MARKER = re.compile(rb"\xff+([\xc0-\xcf\xd9-\xfe])")
_EOI, _SOS, _APP1, _DHT, _JPG, _DAC = 0xD9, 0xDA, 0xE1, 0xC4, 0xC8, 0xCC
_FRAMES = set(range(0xC0, 0xD0)) - {_DHT, _JPG, _DAC}
_ARITHMETIC = set(range(0xC9, 0xD0)) - {_DAC}
_TABLES = {_DHT, 0xDB, 0xDD}  # Huffman codes, quantisation, restart interval


def lean_jpeg(encoded: bytes) -> tuple[bytes, bytes]:
    """The same picture without metadata, whose parsing has a price of its own, and its Exif block (b"" for none).

    Raises TooMuchWork for arithmetic coding and for more segments than any program writes.
    """
    kept, exif = [encoded[:2]], b""
    for code, first, content in _segments(encoded):
        if code == _SOS:
            return b"".join([*kept, encoded[first:]]), exif
        if code in _ARITHMETIC:  # a bit of such a file can stand for thousands of decisions
            raise TooMuchWork("is a JPEG with arithmetic coding")
        if code == _APP1 and content.startswith(b"Exif\0\0"):
            exif = exif or content
        if code in _FRAMES | _TABLES or content.startswith((b"JFIF\0", b"Adobe")):
            kept.append(b"\xff" + bytes([code]) + (len(content) + 2).to_bytes(2, "big") + content)
    return b"".join(kept), exif


def check_scans(encoded: bytes) -> None:
    """Raises TooMuchWork for more scans, or more blocks in all scans together, than any program writes."""
    frame, scans, visits = b"", 0, 0
    most = encoded.count(b"\xff\xda")  # every scan begins so: of ordinary pictures no more has to be known
    for code, _, content in _segments(encoded):
        if code in _FRAMES:
            frame = content
        if code == _SOS:
            if most <= MAX_SCANS and most * sum(_blocks(frame).values()) <= MAX_VISITS:
                return
            scans, visits = scans + 1, visits + _visits(frame, content)
        if scans > MAX_SCANS:
            raise TooMuchWork(f"is a JPEG of more than {MAX_SCANS} scans")
        if visits > MAX_VISITS:
            raise TooMuchWork(f"is a JPEG whose first {scans} scans go over {visits} blocks of pixels")


def _segments(encoded: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Code, first byte and content of every segment up to the end of the picture."""
    at, number = 2, 0
    while marker := _MARKER.search(encoded, at):
        code, number = marker[1][0], number + 1
        if number > _MAX_SEGMENTS:
            raise TooMuchWork(f"has more than {_MAX_SEGMENTS} segments")
        if code == _EOI:
            return
        at = marker.end() + max(2, int.from_bytes(encoded[marker.end() : marker.end() + 2], "big"))
        yield code, marker.start(), encoded[marker.end() + 2 : at]


def _visits(frame: bytes, scan: bytes) -> int:
    """How many blocks a scan visits."""
    blocks = _blocks(frame)
    n = scan[0] if scan else 0
    return sum(blocks.get(component, max(blocks.values(), default=0)) for component in scan[1 : 1 + 2 * n : 2])


def _blocks(frame: bytes) -> Mapping[int, int]:
    """Blocks of every component, by its id; the frame: precision, height, width, components of id, sampling, table."""
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    components = frame[6 : 6 + 3 * frame[5]] if len(frame) > 5 else b""
    sampling = {
        component: divmod(factors, 16) for component, factors in zip(components[::3], components[1::3], strict=False)
    }
    across = max((h for h, _ in sampling.values()), default=1) or 1
    down = max((v for _, v in sampling.values()), default=1) or 1
    return {
        component: ceil(width * h / (8 * across)) * ceil(height * v / (8 * down))
        for component, (h, v) in sampling.items()
    }

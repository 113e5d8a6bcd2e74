"""PNG files by their chunks: those that make the picture, without those that a decoder would unpack beside it."""

from __future__ import annotations

from collections.abc import Iterator

from hsae.data.limits import TooMuchWork

_SIGNATURE = 8  # bytes
_MAX_CHUNKS = 100_000  # a picture of 20 MB in pieces of 8 KB, as they are usually written, has 2500
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}


def lean_png(encoded: bytes) -> tuple[bytes, bytes]:
    """The same picture (of an animation, the still one) without other chunks, and its Exif block (b"" for none).

    Raises TooMuchWork for more chunks than any program writes.
    """
    kept, exif = [encoded[:_SIGNATURE]], b""
    for number, (kind, chunk) in enumerate(_chunks(encoded)):
        if number > _MAX_CHUNKS:
            raise TooMuchWork(f"has more than {_MAX_CHUNKS} chunks")
        if kind in _PIXELS:
            kept.append(chunk)
        elif kind == b"eXIf":
            exif = exif or chunk[8:-4]
    return b"".join(kept), exif


def _chunks(encoded: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and all bytes (length, kind, content, checksum) of every chunk up to the end of the picture."""
    at = _SIGNATURE
    while at < len(encoded):
        first, kind = at, encoded[at + 4 : at + 8]
        at += 12 + int.from_bytes(encoded[at : at + 4], "big")
        yield kind, encoded[first:at]
        if kind == b"IEND":
            return

"""Which way up a photograph is: one number of its Exif block, found without reading the others."""

from __future__ import annotations

import struct

from PIL import ExifTags, Image

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_turn(exif: bytes) -> Image.Transpose | None:
    """What turns a picture with this Exif block upright; None where it is already, or the block is broken."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    try:
        (first,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, first)
        for at in range(first + 2, first + 2 + 12 * entries, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", block, at)
            if tag == ExifTags.Base.Orientation:
                return _TURNS.get(value)
    except struct.error:  # some photographs of ImageNet have one: it says nothing about the pixels
        return None
    return None

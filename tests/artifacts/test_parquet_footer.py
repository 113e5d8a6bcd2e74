"""Footers written by hand, byte by byte: what is plain passes, whatever else is refused."""

from __future__ import annotations

import struct

import pytest

from hsae.artifacts.parquet_footer import check_plain_pages
from hsae.errors import ArtifactError

# A field is (step of its number << 4 | type), then its value; a list is (size << 4 | type), then its items.
I32, BINARY, LIST, STRUCT = 5, 8, 9, 12
ENCODINGS = bytes([2 << 4 | LIST, 1 << 4 | I32, 0])  # field 2: [PLAIN]
CODEC = bytes([2 << 4 | I32, 0])  # field 4: UNCOMPRESSED
STOP = b"\0"


def chunk(metadata: bytes = ENCODINGS + CODEC, before: bytes = bytes([3 << 4 | STRUCT])) -> bytes:
    return before + metadata + STOP + STOP


def footer(*chunks: bytes) -> bytes:
    group = bytes([1 << 4 | LIST, len(chunks) << 4 | STRUCT]) + b"".join(chunks) + STOP
    return bytes([4 << 4 | LIST, 1 << 4 | STRUCT]) + group + STOP


def check(tmp_path, content: bytes) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(b"PAR1" + content + struct.pack("<I", len(content)) + b"PAR1")
    check_plain_pages(path, "table")


def test_plain_chunks_pass(tmp_path):
    check(tmp_path, footer(chunk(), chunk()))


DEFECTS = {
    "zstd": footer(chunk(), chunk(ENCODINGS + bytes([2 << 4 | I32, 6 << 1]))),
    "unknown codec": footer(chunk(ENCODINGS + bytes([2 << 4 | I32, 50 << 1]))),
    "negative codec": footer(chunk(ENCODINGS + bytes([2 << 4 | I32, 1]))),
    "dictionary": footer(chunk(bytes([2 << 4 | LIST, 1 << 4 | I32, 8 << 1]) + CODEC)),
    "pages in another file": footer(chunk(before=bytes([1 << 4 | BINARY, 1]) + b"x" + bytes([2 << 4 | STRUCT]))),
    "codec stated twice": footer(chunk(ENCODINGS + bytes([2 << 4 | I32, 12, I32, 4 << 1, 0]))),
    "no codec": footer(chunk(ENCODINGS)),
    "codec is a list": footer(chunk(ENCODINGS + bytes([2 << 4 | LIST, I32]))),
    "no groups": STOP,
    "empty": b"",
    "cut short": footer(chunk())[:-3],
    "endless integer": b"\x45" + b"\xff" * 20,
    "list of 2^60 items": bytes([4 << 4 | LIST, 15 << 4 | STRUCT]) + b"\xff" * 8 + b"\x0f",
    "list of 2^60 nothings": bytes([4 << 4 | LIST, 15 << 4]) + b"\xff" * 8 + b"\x0f",
    "nested deeply": b"\x1c" * 5000,
    "lists in lists": b"\x19" + b"\x19" * 5000,
}


@pytest.mark.parametrize("name", DEFECTS)
def test_everything_else_is_refused(tmp_path, name):
    with pytest.raises(ArtifactError, match="table: "):
        check(tmp_path, DEFECTS[name])

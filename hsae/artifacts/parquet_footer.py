"""A parquet file's footer, read before pyarrow sees the file: only plain, uncompressed pages may be opened.

pyarrow has to allocate what a compressed page claims to hold, and ends the whole process (uncaught C++ exception) when
asked for a codec that does not exist, so neither can be left to it. The footer is a thrift struct in the compact
protocol: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from hsae.artifacts.defects import broken, require

MAX_FOOTER = 2**20
_MAGIC = b"PAR1"
_MAX_DEPTH = 16
_UNCOMPRESSED, _PLAIN_ENCODINGS = 0, {0, 3, 4}  # PLAIN, RLE and BIT_PACKED (which code levels, not values)
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)


def check_plain_pages(path: Path, where: str) -> None:
    """ArtifactError unless all columns of the parquet file lie in it, plain and uncompressed."""
    try:
        groups = _Compact(_footer(path)).struct()[4]
        chunks = [chunk for group in groups for chunk in group[1]]
        plain = all(
            1 not in chunk and chunk[3][4] == _UNCOMPRESSED and set(chunk[3][2]) <= _PLAIN_ENCODINGS for chunk in chunks
        )
    except (ValueError, LookupError, TypeError, struct.error) as error:
        raise broken(where, f"a footer that cannot be read ({error})", "a whole parquet table") from error
    require(plain, where, "compressed, encoded or outside pages", "plain uncompressed pages in the file itself")


def _footer(path: Path) -> bytes:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        length, magic = struct.unpack("<I4s", file.read(8))
        if magic != _MAGIC or length > min(size - 12, MAX_FOOTER):
            raise ValueError(f"{length} bytes before {magic!r}")
        file.seek(size - 8 - length)
        return file.read(length)


class _Compact:
    """Reads thrift's compact protocol from bytes; structs become dicts by field number."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != _STOP:
            number = number + (head >> 4) if head >> 4 else self._integer()
            if number in fields:
                raise ValueError(f"field {number} appears twice")
            kind = head & 15
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth + 1)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind in (_I16, _I32, _I64):
            return self._integer()
        if kind == _DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        if kind == _BINARY:
            return self._take(self._varint())
        if kind in (_LIST, _SET):
            head = self._byte()
            size = self._varint() if head >> 4 == 15 else head >> 4
            return [self._value(head & 15, depth + 1) for _ in range(size)]
        if kind == _STRUCT:
            return self.struct(depth)
        raise ValueError(f"type {kind}")  # parquet's footer has no maps

    def _take(self, size: int) -> bytes:
        taken = self._content[self._place : self._place + size]
        if len(taken) < size:
            raise ValueError("cut short")
        self._place += size
        return taken

    def _byte(self) -> int:
        return self._take(1)[0]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("an endless integer")

    def _integer(self) -> int:
        zigzag = self._varint()
        return zigzag >> 1 ^ -(zigzag & 1)

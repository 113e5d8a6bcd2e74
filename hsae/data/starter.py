"""The packaged starter photographs: natural ones, and cut-outs whose alpha is the exact object mask."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from hsae.data.labels import label_rows
from hsae.data.listing import Listing
from hsae.errors import InputError

STARTER = Path(__file__).resolve().parents[1] / "starter"
TABLES = {"starter:photos": STARTER / "photos.csv", "starter:cutouts": STARTER / "images.csv"}
"""What each part is called as a source of images, and its table; "starter" is all of them in this order."""


def is_starter(source: object) -> bool:
    """Whether `source` names the packaged photographs or a part of them."""
    return isinstance(source, str) and source in ("starter", *TABLES)


def list_starter(name: str = "starter") -> Listing:
    """List all packaged photographs, or those of one part in `TABLES`."""
    return list_tables([TABLES[name]] if name in TABLES else list(TABLES.values()), name)


def list_tables(tables: list[Path], name: str) -> Listing:
    """List the images of `tables` (CSV: key,file,wnid,...; files are relative to it)."""
    rows = [(table.parent / row["file"], row) for table in tables for row in _read(table)]
    wnids = sorted({row["wnid"] for _, row in rows})
    classes, labels = label_rows(wnids, (wnids.index(row["wnid"]) for _, row in rows), None, name)
    keys = [row["key"] for _, row in rows]
    files = [file for file, _ in rows]
    return Listing(name, classes, labels, keys.__getitem__, files.__getitem__, form="white squares")


@cache
def starter_names() -> dict[str, str]:
    """Key -> name in words of every packaged photograph, in the order of `list_starter`."""
    return {row["key"]: row["name"] for table in TABLES.values() for row in _read(table)}


def _read(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        raise InputError("the packaged starter images are missing", str(table), "Install hsae again.")
    with table.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))

"""The packaged starter photographs: cut-outs whose alpha is the exact object mask."""

from __future__ import annotations

import csv
from pathlib import Path

from hsae.data.labels import label_rows
from hsae.data.listing import Listing
from hsae.errors import InputError

STARTER_CSV = Path(__file__).resolve().parents[1] / "starter" / "images.csv"


def list_starter(table: Path = STARTER_CSV) -> Listing:
    """List the images of `table` (CSV: key,file,wnid,...; files are relative to it)."""
    if not table.is_file():
        raise InputError("the packaged starter images are missing", str(table), "Install hsae again.")
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    wnids = sorted({row["wnid"] for row in rows})
    classes, labels = label_rows(wnids, (wnids.index(row["wnid"]) for row in rows), None, "starter")
    keys = [row["key"] for row in rows]
    files = [table.parent / row["file"] for row in rows]
    return Listing("starter", classes, labels, keys.__getitem__, files.__getitem__, form="white squares")

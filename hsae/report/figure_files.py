"""Figures without a window, and the files they are written to."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from hsae.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL_BYTES, SMALL_DPI, SMALL_COLOURS = 150_000, (110, 90, 75, 60, 45), 64


def panels(rows: int, columns: int) -> tuple[Figure, np.ndarray]:
    """A figure without a window, and its axes as a flat array; unused ones stay empty."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    return figure, axes


def write_figure(folder: Path, name: str, figure: Figure, table: pd.DataFrame) -> Path:
    """Write NAME.png and the table it shows, NAME.csv, to `folder`; returns the PNG file."""
    with atomic_path(folder / f"{name}.csv") as temporary:
        table.to_csv(temporary)
    with atomic_path(folder / f"{name}.png") as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    return folder / f"{name}.png"


def write_small_figure(folder: Path, name: str, figure: Figure) -> Path:
    """Write `name`.png with a palette, at the finest resolution at which it stays under 150 kB; returns it."""
    for dpi in SMALL_DPI:
        drawn, coded = io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="png", dpi=dpi)
        Image.open(drawn).convert("RGB").quantize(SMALL_COLOURS).save(coded, "png", optimize=True)
        if coded.tell() < SMALL_BYTES:
            break
    with atomic_path(folder / f"{name}.png") as temporary:
        temporary.write_bytes(coded.getvalue())
    return folder / f"{name}.png"

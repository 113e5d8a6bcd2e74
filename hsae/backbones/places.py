"""Places in a photograph: patches by row and column, as people name them, and by number, as tokens are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TypeGuard

from hsae.backbones.base import Backbone
from hsae.errors import InputError


def patch_grid(backbone: Backbone, layer: str) -> tuple[int, int]:
    """Rows and columns of a layer's patches on the square that the backbone sees."""
    (layer,) = backbone.layer_names([layer])
    side = backbone.preprocessing.image_size
    return backbone.grid(layer, side, side)


def patch_numbers(backbone: Backbone, layer: str, place: Iterable[Sequence[int]]) -> tuple[int, ...]:
    """Numbers of patches `(row, column)` at a layer, both counted from 0: row x columns + column.

    InputError unless they are different patches of the layer, at least one.
    """
    rows, columns = patch_grid(backbone, layer)
    patches = list(place)
    odd = [patch for patch in patches if not _is_inside(patch, rows, columns)]
    if odd or not patches or len(set(map(tuple, patches))) != len(patches):
        got = f"the place {(odd or patches)[:8]!s:.80}"
        raise InputError(got, f"different patches (row, column), at most ({rows - 1}, {columns - 1})")
    return tuple(int(row) * columns + int(column) for row, column in patches)


def _is_inside(patch: object, rows: int, columns: int) -> TypeGuard[Sequence[int]]:
    if not isinstance(patch, Sequence) or isinstance(patch, str) or len(patch) != 2:
        return False
    whole = all(isinstance(number, Integral) and not isinstance(number, bool) for number in patch)
    return whole and 0 <= patch[0] < rows and 0 <= patch[1] < columns

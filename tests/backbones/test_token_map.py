"""Every pixel knows its patch: counted pixel by pixel, with the pixels outside whole patches left out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hsae.backbones.base import nearest_cells
from hsae.errors import InputError
from tests.backbones.test_families import backbone_of
from tests.backbones.tiny_families import CONVNETS, PREFIX, tiny_family, tiny_pixels
from tests.tiny_models import PATCH, PlainBackbone, tiny_dinov2


@pytest.mark.parametrize("size", [(56, 56), (60, 70), (14, 27), (69, 14)])
@pytest.mark.parametrize("make", [tiny_dinov2, PlainBackbone])
def test_every_pixel_belongs_to_the_patch_it_lies_in(make, size):
    backbone, (height, width) = make(), size
    layer = next(iter(backbone.layers))
    found = backbone.token_map(layer, torch.zeros(1, 3, *size))
    assert (found.dtype, tuple(found.shape)) == (torch.int64, size)
    for y in range(height):
        for x in range(width):
            whole = y // PATCH < height // PATCH and x // PATCH < width // PATCH
            assert found[y, x] == (y // PATCH * (width // PATCH) + x // PATCH if whole else -1)


def test_the_index_is_that_of_the_tokens_after_the_prefix():
    """Paint one patch: its own token is the one that changes in the embedding."""
    backbone, pixels = tiny_dinov2(registers=3), torch.zeros(1, 3, 60, 60)
    where = backbone.token_map("block_01", pixels)
    before = backbone.embed(pixels)
    after = backbone.embed(pixels + (where == 6))
    changed = (after != before).any(-1)[0]
    assert changed.nonzero().flatten().tolist() == [backbone.layers["block_01"].n_prefix + 6]


@given(*(st.integers(1, 9) for _ in range(2)), *(st.integers(9, 40) for _ in range(2)))
def test_the_nearest_cell_is_that_of_the_nearest_centre(rows, columns, height, width):
    found = nearest_cells(rows, columns, height, width)
    for y, x in ((0, 0), (height - 1, width - 1), (height // 2, width // 3)):
        row, column = divmod(int(found[y, x]), columns)
        for place, cell, cells, size in ((y, row, rows, height), (x, column, columns, width)):
            reach = [abs(2 * place * cells + cells - (2 * other + 1) * size) for other in range(cells)]
            assert reach[cell] == min(reach)
    assert sorted(set(found.flatten().tolist())) == list(range(rows * columns))


def test_unknown_layers_and_other_shapes_are_refused():
    with pytest.raises(InputError, match=r"block_99.*block_01"):
        tiny_dinov2().token_map("block_99", torch.zeros(1, 3, 56, 56))
    for shape in ((2, 3, 56, 56), (3, 56, 56), (1, 1, 56, 56)):
        with pytest.raises(InputError, match=r"one image, \[1, 3, height, width\]"):
            tiny_dinov2().token_map("block_01", torch.zeros(shape))


@pytest.mark.parametrize("family", [*PREFIX, *CONVNETS])
def test_every_patch_of_every_layer_has_its_pixels(family):
    """In every family there are as many tokens behind the prefix as the map names, at each layer."""
    backbone, pixels = backbone_of(tiny_family(family)), tiny_pixels(batch=1)
    for name, tokens in backbone.run_pixels(pixels).items():
        found = backbone.token_map(name, pixels)
        assert found.unique().tolist() == list(range(tokens.shape[1] - backbone.layers[name].n_prefix))

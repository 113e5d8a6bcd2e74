"""CAST equals a forward pass written token by token; its segments are a partition, and nested from level to level."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hsae.backbones.cast import CASTBackbone
from hsae.backbones.cast_model import CAST, CASTShape, cast_shape, farthest_points
from hsae.backbones.superpixels import sampled
from hsae.errors import InputError
from tests.backbones.odd_models import CAST_SHAPE, CAST_SIDE, noise, tiny_cast
from tests.backbones.test_hf import close

NAMES = [f"block_{number:02d}" for number in range(1, 7)]
LEVELS = [0, 0, 1, 2, 3, 3]
COUNTS = [16, 7, 5, 3, 2]


def layer_norm(w, name, x, eps):
    centred = [value - sum(x) / len(x) for value in x]
    variance = sum(value**2 for value in centred) / len(x)
    return torch.stack(centred) / (variance + eps).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(w, name, x):
    return w[f"{name}.weight"] @ x + w[f"{name}.bias"]


def attended(w, name, rows, heads):
    """Self-attention of a list of tokens, one query and one head at a time."""
    width = len(rows[0])
    size = width // heads
    projected = [linear(w, f"{name}.qkv", row) for row in rows]
    out = []
    for query in projected:
        parts = []
        for head in range(heads):
            here = slice(head * size, (head + 1) * size)
            scores = [query[here] @ other[width : 2 * width][here] / math.sqrt(size) for other in projected]
            shares = torch.stack(scores).softmax(0)
            parts.append(sum(p * v[2 * width :][here] for p, v in zip(shares, projected, strict=True)))
        out.append(linear(w, f"{name}.proj", torch.cat(parts)))
    return out


def gelu(x):
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def block(w, name, rows, heads):
    mixed = attended(w, f"{name}.attn", [layer_norm(w, f"{name}.norm1", row, 1e-6) for row in rows], heads)
    rows = [row + more for row, more in zip(rows, mixed, strict=True)]
    inner = [gelu(linear(w, f"{name}.mlp.fc1", layer_norm(w, f"{name}.norm2", row, 1e-6))) for row in rows]
    return [row + linear(w, f"{name}.mlp.fc2", more) for row, more in zip(rows, inner, strict=True)]


def farthest(points, count):
    """Brute force: at each step the point whose nearest one of those before it is farthest."""
    before, chosen = [sum(points) / len(points)], []
    for _ in range(count):
        distances = [min(float(((p - q).double() ** 2).sum()) for q in before) for p in points]
        chosen.append(distances.index(max(distances)))
        before.append(points[chosen[-1]])
    return chosen


def pooled(w, name, rows, count, heads):
    """Tokens after a pooling, and the shares of every segment."""
    cls, segments = rows[0], rows[1:]
    chosen = farthest([segment.double() for segment in segments], count)
    normed = [layer_norm(w, f"{name}.centroid_fc.norm", segment, 1e-6) for segment in segments]
    mixed = attended(w, f"{name}.centroid_fc.attn", normed, heads)
    affinity = [a + b for a, b in zip(segments, mixed, strict=True)]
    middle = sum(affinity) / len(affinity)
    affinity = [each - middle + w[f"{name}.centroid_fc.bias"] for each in affinity]
    cosine = [[a @ affinity[c] / a.norm() / affinity[c].norm() for c in chosen] for a in affinity]
    shares = [torch.stack(row).mul(5).exp() / torch.stack(row).mul(5).exp().sum() for row in cosine]

    def first(row):
        return gelu(linear(w, f"{name}.fc1.1", layer_norm(w, f"{name}.fc1.0", row, 1e-5)))

    def second(row):
        return linear(w, f"{name}.fc2.1", layer_norm(w, f"{name}.fc2.0", row, 1e-5))

    merged = [second(first(cls)) + cls]
    for cluster in range(count):
        total = sum(share[cluster] for share in shares)
        mean = sum(share[cluster] * first(each) for share, each in zip(shares, segments, strict=True)) / total
        merged.append(second(mean) + segments[chosen[cluster]])
    return merged, shares


def reference(backbone, pixels):
    """Tokens at every layer and the label of every superpixel on each level, for one image."""
    w, shape = backbone.model.state_dict(), CAST_SHAPE
    labels = sampled(backbone.segment_maps(pixels)[0], 8, 16)
    stem = backbone.model.patch_embed["proj"](pixels)[0]
    rows = [w["cls_token"][0, 0] + w["pe_token"][0, 0]]
    for label in range(16):
        places = [(y, x) for y in range(8) for x in range(8) if labels[y, x] == label]
        rows.append(sum(stem[:, y, x] + w["pos_embed"][0, 8 * y + x] for y, x in places) / len(places))
    layers, lineage = [], [list(range(16))]
    for stage, depth in enumerate(shape.depths, start=1):
        for number in range(depth):
            rows = block(w, f"blocks{stage}.{number}", rows, shape.n_heads)
            layers.append(torch.stack(rows))
        rows, shares = pooled(w, f"pool{stage}.pool_block", rows, shape.clusters[stage - 1], shape.n_heads)
        lineage.append([int(shares[segment].argmax()) for segment in lineage[-1]])
    return layers, lineage


@torch.no_grad()
def test_every_layer_and_level_equals_the_reference():
    backbone, pixels = tiny_cast(), noise(CAST_SIDE)
    layers, lineage = reference(backbone, pixels)
    ours, maps = backbone.run_pixels(pixels), backbone.segment_maps(pixels)
    assert list(ours) == NAMES
    for name, theirs in zip(NAMES, layers, strict=True):
        assert close(ours[name][0], theirs)
        assert theirs.std(0).mean() > 0.1  # the tokens differ
    for found, labels in zip(maps, lineage, strict=True):
        assert torch.equal(found, torch.tensor(labels)[maps[0]])
    assert len(set(lineage[-1])) == 2  # both of the last two segments are there


@torch.no_grad()
def test_an_image_does_not_depend_on_the_others_in_its_batch():
    backbone, pixels = tiny_cast(), noise(CAST_SIDE, batch=3)
    together = backbone.run_pixels(pixels)
    alone = [backbone.run_pixels(image[None]) for image in pixels]
    for name in NAMES:
        assert close(together[name], torch.cat([each[name] for each in alone]))


def test_layers():
    backbone = tiny_cast()
    assert [(spec.name, spec.d_in, spec.n_prefix) for spec in backbone.layers.values()] == [(n, 24, 1) for n in NAMES]
    found = backbone.run_pixels(noise(CAST_SIDE))
    for name, level in zip(NAMES, LEVELS, strict=True):
        assert backbone.grid(name, CAST_SIDE, CAST_SIDE) == (1, COUNTS[level])
        assert found[name].shape == (1, 1 + COUNTS[level], 24)


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_segments_are_partitions_nested_from_fine_to_coarse(seed):
    backbone, pixels = tiny_cast(seed), noise(CAST_SIDE, seed=seed)
    maps = backbone.segment_maps(pixels)
    for found, count in zip(maps, COUNTS, strict=True):
        assert (found.dtype, tuple(found.shape)) == (torch.int64, (CAST_SIDE, CAST_SIDE))
        assert found.min() >= 0
        assert found.max() < count
    for fine, coarse in pairwise(maps):
        for segment in fine.unique():
            assert len(coarse[fine == segment].unique()) == 1
    for name, level in zip(NAMES, LEVELS, strict=True):
        assert torch.equal(backbone.token_map(name, pixels), maps[level])


def test_the_superpixel_of_a_pixel_is_the_token_that_sees_it():
    """Behind a stem that looks at single pixels, a change inside one superpixel, too small for the cut, is its own."""
    backbone, pixels = tiny_cast(), noise(CAST_SIDE)
    backbone.model.patch_embed["proj"] = nn.Conv2d(3, 24, 1, stride=8)
    where = backbone.token_map("block_01", pixels)
    changed = pixels + 0.001 * (where == 5)
    assert torch.equal(backbone.token_map("block_01", changed), where)
    difference = (backbone.embed(changed) - backbone.embed(pixels))[0].norm(dim=-1)
    assert difference.nonzero().flatten().tolist() == [1 + 5]


@pytest.mark.parametrize("start", NAMES[:-1])
@torch.no_grad()
def test_run_from_goes_on_to_the_same_result(start):
    backbone, pixels = tiny_cast(), noise(CAST_SIDE, batch=2)
    later = NAMES[NAMES.index(start) + 1 :]
    whole = backbone.run_pixels(pixels)
    rest = backbone.run_from(start, whole[start], later)
    assert all(torch.equal(rest[name], whole[name]) for name in later)
    edited = backbone.run_from(start, whole[start] + torch.arange(24.0), ["block_06"])
    assert not close(edited["block_06"], whole["block_06"])


def test_gradients_reach_the_pixels():
    pixels = noise(CAST_SIDE).requires_grad_()
    tiny_cast().run_pixels(pixels, ["block_06"])["block_06"][0, 0].sum().backward()
    assert pixels.grad.abs().sum() > 0


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(2, 12), st.data())
def test_farthest_points_by_brute_force(seed, n, data):
    count = data.draw(st.integers(1, n))
    x = torch.randn(2, n, 3, generator=torch.Generator().manual_seed(seed))
    found = farthest_points(x, count)
    assert found.tolist() == [farthest(list(points.double()), count) for points in x]
    assert all(len(set(chosen)) == count for chosen in found.tolist())


def test_the_first_point_is_the_farthest_from_the_mean():
    line = torch.tensor([[[0.0], [1.0], [2.0], [10.0], [9.0]]])  # mean 4.4
    assert farthest_points(line, 4).tolist() == [[3, 0, 2, 1]]


def test_the_mlp_output_is_that_of_the_neurons():
    backbone = tiny_cast()
    rows = backbone.mlp_output("block_03")
    assert torch.equal(rows, backbone.model.blocks2[0].mlp.fc2.weight.T)
    assert rows.shape == (CAST_SHAPE.hidden, CAST_SHAPE.width)


def test_the_shape_is_read_off_the_tensors():
    published = CASTShape(width=384, depths=(3, 3, 3, 2), n_places=784, hidden=1536)
    with torch.device("meta"):
        model = CAST(published)
    assert cast_shape(model.state_dict()) == published
    backbone = CASTBackbone("meta", model, 224)
    assert list(backbone.layers)[-1] == "block_11"
    sizes = [backbone.grid(name, 224, 224)[1] for name in backbone.layers]
    assert sizes == [196] * 3 + [64] * 3 + [32] * 3 + [16] * 2


def test_only_images_of_the_size_it_has_positions_for():
    with pytest.raises(InputError, match=r"image_size 224 for tiny.*64, the only size"):
        CASTBackbone("tiny", tiny_cast().model, 224)
    with pytest.raises(InputError, match=r"3 x 64 x 64"):
        tiny_cast().run_pixels(torch.zeros(1, 3, 64, 96))


def test_the_stem_has_a_place_for_every_eight_pixels():
    stem = tiny_cast().model.patch_embed["proj"]
    assert stem(torch.zeros(1, 3, 64, 64)).shape == (1, 24, 8, 8)
    assert sum(isinstance(part, nn.Conv2d) for part in stem) == 5


def test_the_norms_have_the_epsilons_of_the_published_code():
    """Of torch's default in the poolings' MLPs alone; on tokens as large as these no activation would tell."""
    norms = {name: part.eps for name, part in tiny_cast().model.named_modules() if isinstance(part, nn.LayerNorm)}
    assert {name for name, eps in norms.items() if eps == 1e-5} == {
        f"pool{stage}.pool_block.{part}.0" for stage in range(1, 5) for part in ("fc1", "fc2")
    }
    assert set(norms.values()) == {1e-5, 1e-6}

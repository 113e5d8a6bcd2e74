"""CAST: a vision transformer whose tokens are segments that it merges on the way (Ke, Mo and Yu, ICLR 2024).

Names of the parts are those of the published checkpoints, numbers that they do not state are those of the published
code: 12 heads, and 64, 32, 16 and 8 segments behind the four stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize, scaled_dot_product_attention

SHARPNESS = 5.0
"""Assignments are the softmax of this times the cosine."""


@dataclass(frozen=True)
class CASTShape:
    """What decides the tensors of a CAST, and what it does with them."""

    width: int
    depths: tuple[int, ...]
    """Blocks of each stage."""
    n_places: int
    """Of the stem's square map, one for every 8 x 8 pixels."""
    hidden: int
    """Neurons of a block's MLP."""
    clusters: tuple[int, ...] = (64, 32, 16, 8)
    """Segments behind each stage."""
    n_heads: int = 12


class Attention(nn.Module):
    """Self-attention `[batch, tokens, width]` to the same."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(gelu(self.fc1(x)))


class Block(nn.Module):
    """A block of a vision transformer, norms first."""

    def __init__(self, width: int, n_heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width, eps=1e-6), Attention(width, n_heads)
        self.norm2, self.mlp = nn.LayerNorm(width, eps=1e-6), MLP(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class AffinityBlock(nn.Module):
    """The attention whose output says which segments belong together: centred over the segments, plus a bias."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.norm, self.attn = nn.LayerNorm(width, eps=1e-6), Attention(width, n_heads)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm(x))
        return x - x.mean(1, keepdim=True) + self.bias


class GraphPooling(nn.Module):
    """Merge segments: choose some far from each other, and let every segment belong a little to each of these."""

    def __init__(self, width: int, n_clusters: int, n_heads: int) -> None:
        super().__init__()
        self.n_clusters = n_clusters
        self.centroid_fc = AffinityBlock(width, n_heads)
        self.fc1 = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU())
        self.fc2 = nn.Sequential(nn.LayerNorm(4 * width), nn.Linear(4 * width, width))

    def assign(self, segments: Tensor) -> tuple[Tensor, Tensor]:
        """Shares `[batch, segments, clusters]`, which sum to one per segment, and the chosen ones `[batch, clusters]`.

        share = softmax over the clusters of 5 cos(affinity of the segment, affinity of the chosen one).
        """
        chosen = farthest_points(segments, self.n_clusters)
        affinity = normalize(self.centroid_fc(segments), dim=-1)
        cosine = affinity @ picked(affinity, chosen).transpose(1, 2)
        return torch.softmax(SHARPNESS * cosine, dim=-1), chosen

    def forward(self, tokens: Tensor) -> Tensor:
        """Class token and segments `[batch, 1 + segments, width]` to class token and clusters."""
        segments = tokens[:, 1:]
        shares, chosen = self.assign(segments)
        weights = (shares / shares.sum(1, keepdim=True)).transpose(1, 2)
        hidden = self.fc1(tokens)
        mixed = torch.cat([hidden[:, :1], weights @ hidden[:, 1:]], 1)
        return self.fc2(mixed) + torch.cat([tokens[:, :1], picked(segments, chosen)], 1)


class Pooling(nn.Module):
    """Holds a GraphPooling under the name it has in the checkpoints."""

    def __init__(self, pool_block: GraphPooling) -> None:
        super().__init__()
        self.pool_block = pool_block

    def forward(self, tokens: Tensor) -> Tensor:
        return self.pool_block(tokens)


def picked(x: Tensor, index: Tensor) -> Tensor:
    """Rows `index [batch, k]` of `x [batch, n, d]`, `[batch, k, d]`."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))


@torch.no_grad()
def farthest_points(x: Tensor, count: int) -> Tensor:
    """Greedy choice of `count` rows of `x [batch, n, d]`: each is the farthest from the mean and from those before it.

    Distances are Euclidean, in double precision; the first of equals wins. Returns int64 `[batch, count]`.
    """
    points = x.double()
    nearest = (points - points.mean(1, keepdim=True)).square().sum(-1)
    chosen = []
    for _ in range(count):
        chosen.append(nearest.argmax(1, keepdim=True))
        nearest = nearest.minimum((points - picked(points, chosen[-1])).square().sum(-1))
    return torch.cat(chosen, 1)


class CAST(nn.Module):
    """The encoder's weights; `hsae.backbones.cast` runs them."""

    def __init__(self, shape: CASTShape) -> None:
        super().__init__()
        self.shape = shape
        width, heads = shape.width, shape.n_heads
        self.cls_token, self.pe_token = (nn.Parameter(torch.zeros(1, 1, width)) for _ in range(2))
        self.pos_embed = nn.Parameter(torch.zeros(1, shape.n_places, width))
        self.patch_embed = nn.ModuleDict({"proj": _stem(width)})
        self.norm = nn.LayerNorm(width, eps=1e-6)
        for number, (depth, clusters) in enumerate(zip(shape.depths, shape.clusters, strict=True), start=1):
            blocks = nn.ModuleList(Block(width, heads, shape.hidden) for _ in range(depth))
            setattr(self, f"blocks{number}", blocks)
            setattr(self, f"pool{number}", Pooling(GraphPooling(width, clusters, heads)))

    def stage(self, number: int) -> tuple[tuple[Block, ...], Pooling]:
        """Blocks of a stage (from 1) and the pooling behind them."""
        blocks: Iterable[Block] = getattr(self, f"blocks{number}")
        return tuple(blocks), getattr(self, f"pool{number}")


def _stem(width: int) -> nn.Sequential:
    """Four 3 x 3 convolutions, three of them with stride 2, and one of 1 x 1."""
    widths = (3, width // 8, width // 4, width // 2, width)
    parts: list[nn.Module] = []
    for d_in, d_out, stride in zip(widths, widths[1:], (2, 2, 2, 1), strict=False):
        parts += [nn.Conv2d(d_in, d_out, 3, stride, padding=1, bias=False), nn.BatchNorm2d(d_out), nn.ReLU()]
    return nn.Sequential(*parts, nn.Conv2d(width, width, 1))


def cast_shape(tensors: Mapping[str, Tensor]) -> CASTShape:
    """Read off an encoder's tensors, with the published code's numbers of heads and clusters."""
    norms = [name for name in tensors if name.endswith(".norm1.weight")]
    return CASTShape(
        width=tensors["cls_token"].shape[-1],
        depths=tuple(sum(name.startswith(f"blocks{stage}.") for name in norms) for stage in range(1, 5)),
        n_places=tensors["pos_embed"].shape[1],
        hidden=len(tensors["blocks1.0.mlp.fc1.weight"]),
    )

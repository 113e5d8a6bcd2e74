"""The k largest pre-activations of each token, without keeping anything of size batch x d_sae.

Latents are put into groups; the k groups with the largest maxima hold the k largest latents, because each maximum
bounds its group, so only their members are compared. `RoundedSearch` does this on pre-activations in bfloat16, which
hardware that knows it multiplies twice as fast, for a few more than k latents, and computes those again in float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hsae.sae.bags import products

CHUNK = 512
"""Tokens encoded at a time: their pre-activations stay in the cache."""

ALIGNED = 64
"""Bytes in a cache line: rows that begin at one are written a sixth faster by the matrix multiplication."""

SPARE = 16
"""Latents more than k that a rounded search looks at again. On class tokens of all blocks of DINOv2-S, with their loud
dimensions, none of 228 096 of the k largest was missed (training/benchmarks/search_recall.py)."""

PLACES = 2**16
"""Places that fit beside a bfloat16 into an int32."""


@dataclass(frozen=True)
class Active:
    """The sparse latents of a batch: values `[batch, k]` >= 0 and indices `[batch, k]`."""

    values: Tensor
    indices: Tensor


def topk_search(d_sae: int, k: int) -> ExactSearch | RoundedSearch:
    """The faster search on this machine's processor."""
    return RoundedSearch(d_sae, k) if multiplies_bfloat16() and d_sae < PLACES else ExactSearch(d_sae, k)


class DenseSearch:
    """All pre-activations at once, for a GPU, which has the memory for them and sorts all rows in parallel."""

    def __init__(self, d_sae: int, k: int) -> None:
        self.k = k

    def __call__(self, centred: Tensor, rows: Tensor, b_enc: Tensor) -> Active:
        """Latents of centred `[batch, d_in]` under the encoder rows `[d_sae, d_in]`."""
        values, indices = torch.addmm(b_enc, centred, rows.T).topk(self.k, sorted=False)
        return Active(values.relu_(), indices)


class RoundedDenseSearch:
    """For a GPU that multiplies bfloat16 faster: decided as `RoundedSearch` does, or by the rounded numbers alone."""

    def __init__(self, d_sae: int, k: int, exact: bool = True) -> None:
        """exact: decide in float32 which of a few more candidates are largest; otherwise bfloat16 decides."""
        self.k, self.exact = k, exact
        self.candidates = min(k + SPARE, d_sae) if exact else k

    def __call__(self, centred: Tensor, rows: Tensor, b_enc: Tensor) -> Active:
        """Latents of centred `[batch, d_in]` under the encoder rows `[d_sae, d_in]`."""
        rounded = torch.addmm(b_enc.bfloat16(), centred.bfloat16(), rows.bfloat16().T)
        values, chosen = rounded.topk(self.candidates, sorted=False)
        if not self.exact:
            return Active(values.float().relu_(), chosen)
        values, places = _products(centred, rows, chosen).add_(b_enc[chosen]).topk(self.k, sorted=False)
        return Active(values.relu_(), chosen.gather(1, places))


def multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products of bfloat16 matrices, without which they are slower."""
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


class ExactSearch:
    """In float32 throughout."""

    def __init__(self, d_sae: int, k: int, chunk: int = CHUNK) -> None:
        self.k, self.groups = k, Groups(d_sae, k, chunk, torch.float32)

    def __call__(self, centred: Tensor, rows: Tensor, b_enc: Tensor) -> Active:
        """Latents of centred `[batch, d_in]` under the encoder rows `[d_sae, d_in]`."""
        pieces = [self._chunk(part, rows, b_enc) for part in centred.split(self.groups.chunk)]
        return _joined(pieces)

    def _chunk(self, centred: Tensor, rows: Tensor, b_enc: Tensor) -> Active:
        pre = self.groups.filled(centred, rows, b_enc)
        indices = self.groups.largest(pre)
        return Active(pre.gather(1, indices).relu_(), indices)


class RoundedSearch:
    """Candidates by products in bfloat16; their values, and which k of them are largest, in float32."""

    def __init__(self, d_sae: int, k: int, chunk: int = CHUNK) -> None:
        self.k, self.groups = k, Groups(d_sae, min(k + SPARE, d_sae), chunk, torch.bfloat16)

    def __call__(self, centred: Tensor, rows: Tensor, b_enc: Tensor) -> Active:
        """Latents of centred `[batch, d_in]` under the encoder rows `[d_sae, d_in]`."""
        rounded = rows.bfloat16(), b_enc.bfloat16()
        return _joined([self._chunk(part, rows, b_enc, *rounded) for part in centred.split(self.groups.chunk)])

    def _chunk(self, centred: Tensor, rows: Tensor, b_enc: Tensor, rounded_rows: Tensor, rounded_b: Tensor) -> Active:
        pre = self.groups.filled(centred.bfloat16(), rounded_rows, rounded_b)
        candidates = self.groups.largest(pre)
        values = _products(centred, rows, candidates).add_(b_enc[candidates]).relu_()
        places = largest(values, self.k)
        return Active(values.gather(1, places), candidates.gather(1, places))


class Groups:
    """The n largest of each row of pre-activations in two stages, in one buffer that is used again."""

    def __init__(self, d_sae: int, n: int, chunk: int, dtype: torch.dtype) -> None:
        self.d_sae, self.n, self.chunk = d_sae, n, chunk
        self.size = max(1, round(math.sqrt(d_sae / (2 * n))))
        aligned = ALIGNED // dtype.itemsize
        self.count = -(-max(n, -(-d_sae // self.size)) // aligned) * aligned
        self.pre = torch.full((chunk, self.size * self.count), -torch.inf, dtype=dtype)
        self.first = torch.arange(self.size).view(1, -1, 1) * self.count

    def filled(self, centred: Tensor, rows: Tensor, b_enc: Tensor) -> Tensor:
        """The pre-activations of at most `chunk` tokens, `[batch, d_sae]` and some columns of -inf."""
        pre = self.pre[: len(centred)]
        torch.addmm(b_enc, centred, rows.T, out=pre[:, : self.d_sae])
        return pre

    def largest(self, pre: Tensor) -> Tensor:
        """Columns of the n largest, `[batch, n]`."""
        if self.size == 1:
            return largest(pre, self.n)
        # Non-negative numbers order like their bits, and negative ones count as 0 anyway.
        bits = pre.view(torch.int16) if pre.dtype == torch.bfloat16 else pre
        grouped = bits.view(-1, self.size, self.count)  # member s of group g is latent s * count + g
        best = largest(grouped.amax(1), self.n)
        members = (best.unsqueeze(1) + self.first).flatten(1)
        return members.gather(1, largest(bits.gather(1, members), self.n))


def largest(values: Tensor, n: int) -> Tensor:
    """Places of the n largest of each row `[batch, width]`, negative ones counting as 0; of equals the first.

    values: float32, or the bits of bfloat16 (as bfloat16 or int16). A non-negative float orders like its bits; with its
    place in the lower half of an integer twice as wide, NumPy's partition takes a fifth of torch.topk's time.
    """
    width = values.shape[1]
    narrow = values.dtype != torch.float32
    wide, shift = (torch.int32, 16) if narrow else (torch.int64, 32)
    bits = values.view(torch.int16).clamp_min(0) if narrow else values.relu().view(torch.int32)
    backwards = torch.arange(width - 1, -1, -1, dtype=wide)
    keys = bits.to(wide).bitwise_left_shift_(shift).bitwise_or_(backwards)
    keys.numpy().partition(width - n, axis=1)
    return width - 1 - (keys[:, width - n :] & (2**shift - 1)).long()


def _products(vectors: Tensor, rows: Tensor, chosen: Tensor) -> Tensor:
    """The products of each vector `[batch, d]` with its own rows, chosen `[batch, n]`."""
    batch, n = chosen.shape
    starts = torch.arange(0, chosen.numel(), n, device=chosen.device)
    return products(vectors, rows, chosen.flatten(), starts).view(batch, n)


def _joined(parts: list[Active]) -> Active:
    return Active(torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts]))

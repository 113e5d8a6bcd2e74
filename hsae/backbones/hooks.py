"""Read attention maps of a running transformer without changing the shared model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

_recorder: ContextVar[list[Tensor] | None] = ContextVar("hsae_attention_recorder", default=None)


@contextmanager
def capture_attention() -> Iterator[list[Tensor]]:
    """Collect the attention maps `[batch, heads, tokens, tokens]` of every block run inside, in order.

    The list belongs to the current context (thread or task): others that use the same model at the same time neither
    see it nor pay for it. The maps are part of the autograd graph when gradients are enabled.
    """
    maps: list[Tensor] = []
    mark = _recorder.set(maps)
    try:
        yield maps
    finally:
        _recorder.reset(mark)


def recordable_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention in the form transformers' AttentionInterface wants: fused, unless a `capture_attention` is open.

    query, key, value: `[batch, heads, tokens, head_dim]`; returns `[batch, tokens, heads, head_dim]`. Backbones are
    frozen: there is no dropout.
    """
    maps = _recorder.get()
    if maps is None:
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling)
        return mixed.transpose(1, 2).contiguous(), None
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    attention = torch.softmax(scores if attention_mask is None else scores + attention_mask, dim=-1)
    maps.append(attention)
    return (attention @ value).transpose(1, 2).contiguous(), None

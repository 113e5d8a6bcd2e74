"""Batches on their way to a device: read, sent and mixed while the steps before are being computed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import torch
from torch import Tensor

from hsae.activations.pool import sent
from hsae.data.ahead import done_ahead

Batch = dict[str, Tensor]
AHEAD = 2
"""Batches that wait on the device, at most."""


def fed(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches, in the same order, on a device; on the CPU they are passed on as they come."""
    if device.type == "cpu":
        yield from batches
        return

    def send(_: int) -> Batch | None:
        batch = next(batches, None)
        return None if batch is None else {name: sent(tokens, device) for name, tokens in batch.items()}

    for batch in done_ahead(send, count(), 1, ahead=AHEAD):
        if batch is None:
            return
        yield batch

"""Several processes: the same layers on shares of every batch, or a share of the layers on every batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hsae.sae.summary import merged_points

if TYPE_CHECKING:
    from accelerate import Accelerator


def batch_mean(value: Tensor, processes: int) -> Tensor:
    """The mean over all shares of a batch of a number that each process has of its own; its gradient is the own one's.

    What is not linear in a mean over tokens needs it: the mean of the shares' gradients is then the batch's gradient.
    """
    if processes == 1:
        return value
    from accelerate.utils import reduce

    return value + (reduce(value.detach(), "mean") - value.detach())


def whole_batch(share: Tensor, processes: int) -> Tensor:
    """A batch `[processes x n, ...]` from the shares `[n, ...]` that hold every processes-th token, in its order."""
    if processes == 1:
        return share
    from accelerate.utils import gather

    return gather(share.contiguous()).unflatten(0, (processes, -1)).transpose(0, 1).flatten(0, 1)


@torch.no_grad()
def average(tensors: list[Tensor]) -> None:
    """Replace tensors (gradients, loss, counts) by their means over the processes, in one exchange.

    A loss that is not finite on one process becomes so on all, so that they stop together.
    """
    from accelerate.utils import reduce

    flat = reduce(torch.cat([tensor.flatten() for tensor in tensors]), "mean")
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))


def copy_from_first(tensors: Iterable[Tensor], device: torch.device) -> None:
    """Give every process the first one's values, in place."""
    from accelerate.utils import broadcast

    for tensor in tensors:
        tensor.data.copy_(broadcast(tensor.data.to(device, copy=True).contiguous(), 0))


def merge_histories(own: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The measured points of all layers from those that each process has of its own layers."""
    from accelerate.utils import gather_object

    return merged_points(gather_object(own))


def exchange_layers(bank: Mapping[str, nn.Module], names: tuple[str, ...], accelerator: Accelerator) -> None:
    """Give every process the layers that the others have trained; `bank` holds all, the own ones trained."""
    from accelerate.utils import broadcast

    for position, name in enumerate(names):
        for tensor in bank[name].state_dict().values():
            received: Tensor = broadcast(tensor.to(accelerator.device), position % accelerator.num_processes)
            tensor.copy_(received)

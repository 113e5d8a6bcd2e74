"""Several processes: the same layers on shares of every batch, or a share of the layers on every batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hsae.sae.model import SparseAutoencoder
from hsae.sae.outcome import Outcome

if TYPE_CHECKING:
    from accelerate import Accelerator


@torch.no_grad()
def average_gradients(sae: SparseAutoencoder, outcome: Outcome) -> Outcome:
    """Replace gradients, buffers, loss and counts by their means over the processes, in one exchange.

    A loss that is not finite on one process becomes so on all, so that they stop together.
    """
    from accelerate.utils import reduce

    tensors = [p.grad for p in sae.parameters()] + [*sae.buffers(), outcome.loss, outcome.counts]
    flat = reduce(torch.cat([tensor.flatten() for tensor in tensors]), "mean")
    parts = flat.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view(tensor.shape))
    return outcome


def copy_from_first(sae: SparseAutoencoder) -> None:
    """Give every process the weights of the first."""
    from accelerate.utils import broadcast

    for parameter in sae.parameters():
        parameter.data.copy_(broadcast(parameter.data.clone(), 0))


def own_layers(names: tuple[str, ...], accelerator: Accelerator | None, parallel: str) -> tuple[str, ...]:
    """The layers that this process trains."""
    if accelerator is None or parallel == "data":
        return names
    return names[accelerator.process_index :: accelerator.num_processes]


def exchange_layers(
    bank: dict[str, SparseAutoencoder], names: tuple[str, ...], accelerator: Accelerator
) -> dict[str, SparseAutoencoder]:
    """Give every process the layers that the others have trained; `bank` holds all, the own ones trained."""
    from accelerate.utils import broadcast

    for position, name in enumerate(names):
        for tensor in bank[name].state_dict().values():
            received: Tensor = broadcast(tensor.to(accelerator.device), position % accelerator.num_processes)
            tensor.copy_(received)
    return bank

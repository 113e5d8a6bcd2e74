"""How likely is a WordNet node? The sum of a probe's probabilities of the classes under it; no SAE is needed."""

from __future__ import annotations

import torch
from torch import Tensor

from hsae.errors import InputError


def node_probabilities(logits: Tensor, members: Tensor) -> Tensor:
    """p(a) = sum over the classes c under a of softmax(logits)_c, in [0, 1]: as calibrated as the logits are.

    logits `[..., n_classes]`; members `[n_nodes, n_classes]` bool; gives `[..., n_nodes]`.
    """
    return (torch.softmax(logits, -1) @ members.T.to(logits.dtype)).clamp(max=1.0)


def node_log_odds(logits: Tensor, members: Tensor) -> Tensor:
    """log p(a) / (1 - p(a)) of one node, exact where p rounds to 0 or 1; infinite for a node with all classes or none.

    logits `[..., n_classes]`; members `[n_classes]` bool; gives `[...]`, in nats, with gradients.
    """
    return logits[..., members].logsumexp(-1) - logits[..., ~members].logsumexp(-1)


def require_some(members: Tensor) -> None:
    """InputError unless some of the classes are under a node, `members [n_classes]` bool, but not all."""
    under = int(members.sum())
    if not 0 < under < len(members):
        raise InputError(f"a node with {under} of {len(members)} classes", "one with some of the classes, but not all")

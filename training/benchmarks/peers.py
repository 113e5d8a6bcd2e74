"""Other libraries' TopK trainers behind one face, for the benchmark; each only where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor


class Contestant(NamedTuple):
    """step: one training step on a batch; reconstruct: x_hat; active: which latents fire `[batch, d_sae]`."""

    step: Callable[[Tensor], object]
    reconstruct: Callable[[Tensor], Tensor]
    active: Callable[[Tensor], Tensor]


Maker = Callable[[int, int, int, float], Contestant]
"""(d_in, d_sae, k, lr) -> Contestant."""


def installed() -> dict[str, Maker]:
    """The peers that can be imported here; says why for one that is there and cannot."""
    known: dict[str, tuple[str, Maker]] = {
        "eai-sparsify": ("sparsify", sparsify),
        "dictionary-learning": ("dictionary_learning", dictionary_learning),
        "sae-lens": ("sae_lens", sae_lens),
    }
    peers: dict[str, Maker] = {}
    for name, (module, make) in known.items():
        if find_spec(module):
            try:
                import_module(module)
                peers[name] = make
            except ImportError as error:
                print(f"{name} is not compared: {error}")
    return peers


def sparsify(d_in: int, d_sae: int, k: int, lr: float) -> Contestant:
    """Its trainer's step with the Adam option, without its language model."""
    from sparsify.sparse_coder import SparseCoder, SparseCoderConfig

    sae = SparseCoder(d_in, SparseCoderConfig(num_latents=d_sae, k=k))
    optimiser = torch.optim.Adam(sae.parameters(), lr=lr)
    started: list[bool] = []

    def step(x: Tensor) -> None:
        if not started:
            sae.b_dec.data.copy_(x.mean(0))
            started.append(True)
        sae.set_decoder_norm_to_unit_norm()
        sae(x).fvu.backward()
        sae.remove_gradient_parallel_to_decoder_directions()
        optimiser.step()
        optimiser.zero_grad()

    def active(x: Tensor) -> Tensor:
        top = sae.encode(x)
        return torch.zeros(len(x), d_sae).scatter(1, top.top_indices, top.top_acts) > 0

    return Contestant(step, lambda x: sae(x).sae_out, active)


def dictionary_learning(d_in: int, d_sae: int, k: int, lr: float) -> Contestant:
    """Its TopKTrainer."""
    from dictionary_learning.trainers.top_k import TopKTrainer

    trainer = TopKTrainer(
        steps=10**6,
        activation_dim=d_in,
        dict_size=d_sae,
        k=k,
        layer=0,
        lm_name="none",
        lr=lr,
        warmup_steps=1,
        device="cpu",
    )
    done = iter(range(10**9))
    return Contestant(
        lambda x: trainer.update(next(done), x), trainer.ae, lambda x: trainer.ae.encode(x, use_threshold=False) > 0
    )


def sae_lens(d_in: int, d_sae: int, k: int, lr: float) -> Contestant:
    """Its training SAE's forward pass and loss, with the Adam and clipping of its trainer."""
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.saes.sae import TrainStepInput

    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=d_in, d_sae=d_sae, k=k, use_sparse_activations=False))
    optimiser, alive = torch.optim.Adam(sae.parameters(), lr=lr), torch.zeros(d_sae, dtype=torch.bool)
    done = iter(range(10**9))

    def step(x: Tensor) -> None:
        given = TrainStepInput(
            sae_in=x, coefficients={}, dead_neuron_mask=alive, n_training_steps=next(done), is_logging_step=False
        )
        optimiser.zero_grad()
        sae.training_forward_pass(given).loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimiser.step()

    return Contestant(step, sae, lambda x: sae.encode(x).to_dense() > 0)

"""Cascaded SAE: a second, smaller SAE of the first one's decoder rows puts every latent under a learned concept.

A decoder row is where its latent points; what several rows share is a concept of concepts (arXiv 2606.16193). Each row
is explained by k concepts; the strongest of them is its parent, so that latents and concepts make a tree of two levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hsae.sae.bank import new_sae, scale_of
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.layer import LayerTraining, TrainingRun
from hsae.sae.start import initialise
from hsae.sae.steps import choose_step
from hsae.sae.train import learning_rate

STEPS = 200
"""Of training, on as many rows at once as CELLS allows."""
CELLS = 2**20
"""Rows x concepts of a step, at most. Up to 2 896 latents of 8 a concept that is all rows; beyond, the work would grow
with the square of the latents. Block 11 of the starter artifact has a FVU of 0.47 on all 1 536 rows of every step, 0.50
on a quarter of them and 0.52 on a twelfth."""


@dataclass(frozen=True, eq=False)
class Cascade:
    """Which concept each latent belongs to most."""

    parent: Tensor
    """Number of the concept `[d_sae]`; -1 for a latent that no concept explains."""
    strength: Tensor
    """How far the concept's unit direction reaches into the latent's unit row, `[d_sae]`, 0 without a concept."""
    n_concepts: int
    fvu: float
    """Fraction of the variance of the rows that the concepts leave unexplained."""


def cascade(rows: Tensor, n_concepts: int, k: int = 4, seed: int = 0) -> Cascade:
    """The concepts of decoder rows `[d_sae, d_in]`; a TopK SAE of `n_concepts` latents, k of them active for each row.

    TrainingError when all rows are the same.
    """
    rows, train = rows.detach().cpu().float(), TrainConfig(seed=seed)
    config, scale = SAEConfig("topk", d_sae=n_concepts, k=min(k, n_concepts)), scale_of([rows], "decoder rows")
    sae, x = new_sae(config, rows.shape[1]), scale.normalise(rows)
    initialise(sae, x, torch.Generator().manual_seed(seed))
    step = choose_step(config, rows.shape[1], torch.device("cpu"))
    layer = LayerTraining("decoder rows", sae.train(), scale, step, TrainingRun(config, train, steps=STEPS))
    generator, at_once = torch.Generator().manual_seed(seed), max(1, CELLS // n_concepts)
    for number in range(STEPS):
        part = rows if len(rows) <= at_once else rows[torch.randperm(len(rows), generator=generator)[:at_once]]
        layer.advance(part, train.lr * learning_rate(number, STEPS, train), number)
    with torch.no_grad():
        x_hat, z = sae.eval()(x)
        strength, parent = z.max(1)
        missed = (x_hat - x).pow(2).sum() / x.pow(2).sum()
    return Cascade(torch.where(strength > 0, parent, -1), strength * scale.scale, n_concepts, missed.item())

"""The kernels of a GPU, by Triton's interpreter on a CPU, against loops that one can read."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="needs Triton, which is for GPUs")

from hsae.sae import bags, triton_kernels
from hsae.sae.config import SAEConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.topk_search import ExactSearch, RoundedDenseSearch
from hsae.sae.topk_step import TopKStep

D_IN, D_SAE, BATCH, K = 24, 96, 50, 6
STARTS = torch.tensor([0, 0, 5, 5, 400, 690])
"""Empty bags, short ones, and two that are longer than a piece."""
PAIRS = 700
ENDS = torch.tensor([0, 5, 5, 400, 690, PAIRS])


def pairs_of(d: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, which of them, and weights."""
    generator = torch.Generator().manual_seed(d)
    rows = torch.randn(40, d, generator=generator).to(dtype)
    return rows, torch.randint(40, (PAIRS,), generator=generator), torch.rand(PAIRS, generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("d", [24, 600])
@pytest.mark.parametrize("kernel", [triton_kernels.sums, triton_kernels.long_sums])
def test_triton_sums_every_bag(kernel: Any, d: int, dtype: torch.dtype) -> None:
    rows, chosen, weights = pairs_of(d, dtype)
    found = kernel(rows, chosen, STARTS, ENDS, weights)
    assert (ENDS - STARTS).max() > triton_kernels.LONGEST
    for bag, start, end in zip(found, STARTS.tolist(), ENDS.tolist(), strict=True):
        slow = sum((weights[i] * rows[chosen[i]].double() for i in range(start, end)), torch.zeros(d).double())
        torch.testing.assert_close(bag.double(), slow, atol=1e-4, rtol=1e-5)
    assert torch.equal(found, kernel(rows, chosen, STARTS, ENDS, weights))
    assert torch.equal(
        found, kernel(rows.T.contiguous().T, chosen, STARTS, ENDS, weights)
    )  # however rows lie in memory


@pytest.mark.parametrize("d", [24, 600])
def test_triton_multiplies_every_pair(d: int) -> None:
    rows, chosen, _ = pairs_of(d, torch.float32)
    vectors = torch.randn(len(STARTS), d, generator=torch.Generator().manual_seed(1))
    found = triton_kernels.products(vectors, rows, chosen, STARTS, ENDS)
    slow = torch.stack([vectors[bag] @ rows[row] for bag, row in zip(bags.bags_of(STARTS, PAIRS), chosen, strict=True)])
    torch.testing.assert_close(found, slow, atol=1e-4, rtol=1e-5)


VARIANTS: dict[str, dict[str, Any]] = {
    "topk": {"activation": "topk", "k": K},
    "nested k": {"activation": "topk", "ks": (1, K)},
    "prefixes": {"activation": "topk", "k": K, "prefixes": 3},
    "coarse and fine": {"activation": "coarse_fine", "k": K},
}


def gradients(config: SAEConfig, step: TopKStep) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sae = SparseAutoencoder(D_IN, D_SAE, config.activation, config.k, ks=config.ks, groups=config.groups_of(D_SAE))
    for parameter in (sae.W_dec, sae.b_dec, sae.b_enc):
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / D_IN**0.5)
    sae.W_enc.data = sae.W_dec.data.clone().T
    outcome = step(sae, torch.randn(BATCH, D_IN, generator=generator), torch.zeros(()))
    return {name: p.grad for name, p in sae.named_parameters() if p.grad is not None} | {"loss": outcome.loss}


@pytest.mark.parametrize("case", VARIANTS)
def test_a_triton_step_has_the_gradients_of_the_exact_one(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SAEConfig(d_sae=D_SAE, **VARIANTS[case])
    objective = config.objective(D_IN)
    exact = gradients(config, TopKStep(objective, ExactSearch))
    monkeypatch.setattr(bags, "_kernels", lambda _: triton_kernels)
    single = gradients(config, TopKStep(objective, RoundedDenseSearch))
    half = gradients(config, TopKStep(objective, partial(RoundedDenseSearch, exact=False), torch.bfloat16))
    assert {"W_enc", "W_dec", "b_enc", "b_dec", "loss"} <= set(single)
    for name, gradient in exact.items():
        torch.testing.assert_close(single[name], gradient, atol=1e-6, rtol=1e-5)
        assert 0 < (half[name] - gradient).norm() < 0.2 * gradient.norm()

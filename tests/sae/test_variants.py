"""Every variant against an independent, naive implementation of its paper's formulas, and its promises at inference."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

from hsae.errors import InputError
from hsae.sae import variants
from hsae.sae.config import SAEConfig
from hsae.sae.losses import Forward, reconstruction
from hsae.sae.model import SparseAutoencoder
from hsae.sae.variants import VARIANTS, Activation

K, GROUPS = 3, ((8, 1), (12, 2))


PLAIN = {"coarse_fine": {"groups": GROUPS, "group_weights": (0, 1)}}
"""Settings with which only the whole reconstruction counts, where that is not the default."""


def random_sae(activation: str) -> SparseAutoencoder:
    groups = GROUPS if "groups" in VARIANTS[activation].settings else ()
    sae = SparseAutoencoder(6, 20, activation, K, groups=groups).double()
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5)
        if activation == "jumprelu":
            sae.threshold.abs_()
    sae.normalise_decoder()
    return sae


def naive_latents(sae: SparseAutoencoder, x: Tensor) -> list[list[float]]:
    """One number at a time."""
    w, b = sae.W_enc.tolist(), sae.b_enc.tolist()
    centred = (x - sae.b_dec).tolist()
    linear = [[sum(v * w[i][j] for i, v in enumerate(row)) for j in range(sae.d_sae)] for row in centred]
    pre = [[value + b[j] for j, value in enumerate(row)] for row in linear]
    if sae.activation == "relu":
        return [[max(p, 0.0) for p in row] for row in pre]
    if sae.activation == "topk":
        return [[p if p > 0 and sorted(row)[-K] <= p else 0.0 for p in row] for row in pre]
    if sae.activation == "coarse_fine":
        cuts = [(sorted(row[:8])[-1], sorted(row[8:])[-2]) for row in pre]
        return [
            [p if p > 0 and p >= cut[j >= 8] else 0.0 for j, p in enumerate(row)]
            for row, cut in zip(pre, cuts, strict=True)
        ]
    if sae.activation == "batchtopk":
        cut = sorted(p for row in pre for p in row)[-K * len(pre)]
        return [[p if p > 0 and p >= cut else 0.0 for p in row] for row in pre]
    if sae.activation == "jumprelu":
        return [[p if p > t else 0.0 for p, t in zip(row, sae.threshold.tolist(), strict=True)] for row in pre]
    r, m = sae.r_mag.tolist(), sae.b_mag.tolist()
    return [
        [
            max(line * math.exp(r[j]) + m[j], 0.0) if p > 0 else 0.0
            for j, (line, p) in enumerate(zip(*rows, strict=True))
        ]
        for rows in zip(linear, pre, strict=True)
    ]


def naive_penalty(sae: SparseAutoencoder, x: Tensor, z: list[list[float]], config: SAEConfig) -> float:
    if sae.variant.weight is None:
        return 0.0
    if sae.activation == "relu":
        return config.l1 * sum(map(sum, z)) / len(z)
    if sae.activation == "jumprelu":
        l0 = sum(value > 0 for row in z for value in row) / len(z)
        return config.l0 * (l0 / config.k - 1) ** 2
    gate = torch.relu((x - sae.b_dec) @ sae.W_enc + sae.b_enc)
    x_gate = gate @ sae.W_dec + sae.b_dec
    return (config.l1 * gate.sum() / len(x) + ((x - x_gate) ** 2).sum() / x.numel()).item()


def forward(sae: SparseAutoencoder, x: Tensor) -> Forward:
    pre = sae.pre_activation(x)
    z = sae.activate(pre)
    return Forward(x, pre, z, sae.decode(z))


@pytest.mark.parametrize("activation", VARIANTS)
def test_latents_and_loss_equal_the_naive_ones(activation: str) -> None:
    sae, x = random_sae(activation).train(), torch.randn(9, 6, dtype=torch.float64)
    config = SAEConfig(activation, d_sae=20, k=K, l1=0.3, l0=0.7, **PLAIN.get(activation, {}))
    f, z = forward(sae, x), naive_latents(sae, x)
    assert torch.allclose(f.z, torch.tensor(z, dtype=torch.float64), atol=1e-12)
    assert (f.z > 0).any()
    x_hat = torch.tensor(z, dtype=torch.float64) @ sae.W_dec + sae.b_dec
    found = reconstruction(sae, f, config.objective(6)).item()
    assert found == pytest.approx(((x - x_hat) ** 2).sum().item() / x.numel())
    penalty = sae.variant.penalty(sae, f, torch.tensor(config.penalty_weight)).item()
    assert penalty == pytest.approx(naive_penalty(sae, x, z, config))


@pytest.mark.parametrize("activation", [name for name in VARIANTS if name != "jumprelu"])
def test_gradients_equal_finite_differences(activation: str) -> None:
    sae, x = random_sae(activation).train(), torch.randn(4, 6, dtype=torch.float64)
    config = SAEConfig(activation, d_sae=20, k=K, l1=0.3, **(PLAIN.get(activation) or {"prefixes": 2}))
    names = [name for name, _ in sae.named_parameters()]

    def loss(*values: Tensor) -> Tensor:
        def run(module: torch.nn.Module, batch: Tensor) -> Tensor:
            f = forward(module, batch)
            return reconstruction(module, f, config.objective(6)) + (
                config.l1 * f.z.sum() if activation != "gated" else 0
            )

        wrapped = Callable(sae, run)
        return torch.func.functional_call(wrapped, {f"sae.{n}": v for n, v in zip(names, values, strict=True)}, (x,))

    assert torch.autograd.gradcheck(loss, [p.detach().clone().requires_grad_() for p in sae.parameters()])


class Callable(torch.nn.Module):
    """Lets functional_call reach methods other than forward."""

    def __init__(self, sae: SparseAutoencoder, run: object) -> None:
        super().__init__()
        self.sae, self.run = sae, run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.sae, x)


def test_jumprelu_gradients_are_the_papers() -> None:
    """dz/dpre = [pre > t]; dz/dt = -t/w K, dL0/dt = -1/w K with K = [|pre - t| < w/2], one element at a time."""
    sae, x = random_sae("jumprelu"), torch.randn(30, 6, dtype=torch.float64)
    config = SAEConfig("jumprelu", d_sae=20, k=K, l0=0.7)
    f = forward(sae, x)
    toward = torch.randn_like(f.z)
    (slope,) = torch.autograd.grad((f.z * toward).sum(), sae.threshold, retain_graph=True)
    (sparsity,) = torch.autograd.grad(sae.variant.penalty(sae, f, torch.tensor(config.penalty_weight)), sae.threshold)
    w, l0 = sae.window, (f.z > 0).sum().item() / 30
    for j, t in enumerate(sae.threshold.tolist()):
        near = [i for i in range(30) if abs(f.pre[i, j].item() - t) < w / 2]
        assert slope[j].item() == pytest.approx(sum(-t / w * toward[i, j].item() for i in near))
        assert sparsity[j].item() == pytest.approx(0.7 * 2 * (l0 / K - 1) / K * sum(-1 / w / 30 for _ in near))
    assert slope.abs().sum() > 0


@pytest.mark.parametrize("activation", [name for name in VARIANTS if name != "coarse_fine"])
def test_prefixes_reconstruct_one_after_the_other(activation: str) -> None:
    """The cumulative form equals one full decoding per prefix."""
    sae, x = random_sae(activation).train(), torch.randn(9, 6, dtype=torch.float64)
    config, f = SAEConfig(activation, d_sae=20, k=K, prefixes=3), forward(sae, x)
    assert config.prefix_widths(20) == (5, 10, 20)
    each = [((x - f.z[:, :m] @ sae.W_dec[:m] - sae.b_dec) ** 2).mean().item() for m in (5, 10, 20)]
    assert reconstruction(sae, f, config.objective(6)).item() == pytest.approx(sum(each) / 3)


def test_groups_reconstruct_with_those_before_them() -> None:
    sae, x = random_sae("coarse_fine").train(), torch.randn(9, 6, dtype=torch.float64)
    config, f = SAEConfig("coarse_fine", groups=GROUPS, group_weights=(3, 1)), forward(sae, x)
    coarse = x - f.z[:, :8] @ sae.W_dec[:8] - sae.b_dec
    expected = (3 * coarse.pow(2).mean() + (x - f.x_hat).pow(2).mean()).item() / 4
    assert reconstruction(sae, f, config.objective(6)).item() == pytest.approx(expected)


def test_nested_k_reconstructs_with_the_strongest_latents() -> None:
    sae, x = random_sae("topk").train(), torch.randn(9, 6, dtype=torch.float64)
    config, f = SAEConfig("topk", d_sae=20, ks=(1, 3), k_weights=(3, 1)), forward(sae, x)
    strongest = f.z * (f.z >= f.z.max(1, keepdim=True).values)
    first = x - strongest @ sae.W_dec - sae.b_dec
    expected = (3 * first.pow(2).mean() + (x - f.x_hat).pow(2).mean()).item() / 4
    assert reconstruction(sae, f, config.objective(6)).item() == pytest.approx(expected)


@pytest.mark.parametrize("activation", VARIANTS)
def test_folding_the_input_scale_is_exact(activation: str) -> None:
    sae, x = random_sae(activation).eval(), torch.randn(40, 6, dtype=torch.float64)
    if "threshold" in dict(sae.named_buffers()):
        sae.threshold.fill_(0.4)
    mean, scale = torch.randn(6, dtype=torch.float64), torch.tensor(2.7, dtype=torch.float64)
    x_hat, z = sae((x - mean) / scale)
    sae.fold_input(mean, scale)
    folded_x_hat, folded_z = sae(x)
    assert torch.allclose(folded_z, scale * z, atol=1e-12)
    assert torch.allclose(folded_x_hat, scale * x_hat + mean, atol=1e-12)


def test_batch_topk_saves_a_threshold_that_gives_k_latents_a_token() -> None:
    sae = random_sae("batchtopk").train()
    for _ in range(600):
        sae.encode(torch.randn(64, 6, dtype=torch.float64))
    assert "threshold" in sae.state_dict()
    loaded = SparseAutoencoder(6, 20, "batchtopk", K).double()
    loaded.load_state_dict(sae.state_dict())
    x = torch.randn(20_000, 6, dtype=torch.float64)
    l0 = (loaded.eval().encode(x) > 0).sum().item() / len(x)
    assert l0 == pytest.approx(K, rel=0.1)
    one = loaded.encode(x[:1])
    assert torch.allclose(one, loaded.encode(x)[:1]), "at inference a token does not depend on its batch"


def test_the_table_holds_every_activation() -> None:
    assert set(VARIANTS) == set(get_args(Activation))


def test_more_prefixes_than_the_width_allows_are_refused() -> None:
    with pytest.raises(InputError, match="9 prefixes"):
        SAEConfig(prefixes=9, d_sae=100, k=4).prefix_widths(100)


def test_nothing_decides_by_the_name_of_a_variant() -> None:
    """Not hsae/sae, and of the artifacts only readers of peers' formats, which have names of their own."""

    def decisions(source: str) -> list[str]:
        compared = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare)]
        texts = [ast.unparse(node) for node in compared if "activation" in ast.unparse(node.left)]
        return [text for text in texts if any(repr(name) in text for name in VARIANTS)]

    package = Path(variants.__file__).parents[1]
    files = [file for folder in ("sae", "artifacts") for file in (package / folder).rglob("*.py")]
    found = [text for file in files if file.parent.name != "convert" for text in decisions(file.read_text())]
    assert len(files) > 30
    assert found == []
    assert decisions("if sae.activation in ('relu', 'gated'): pass") == ["sae.activation in ('relu', 'gated')"]


@pytest.mark.parametrize("activation", VARIANTS)
def test_a_latent_fires_only_where_its_pre_activation_is_beyond_the_cut(activation: str) -> None:
    """What is compared with 0 or a threshold, or ranked among the latents of a token."""
    sae, x = random_sae(activation).eval(), torch.randn(50, 6, dtype=torch.float64)
    pre, fires = sae.pre_activation(x), sae.encode(x) > 0
    torch.testing.assert_close(pre[3, 7], (x[3] - sae.b_dec).dot(sae.W_enc[:, 7]) + sae.b_enc[7])
    beyond = pre > 0
    if sae.variant.competes:
        beyond &= pre >= pre.topk(sae.k).values[:, -1:]
    elif hasattr(sae, "threshold"):
        beyond &= pre > sae.threshold
    assert 0 < fires.float().mean() < 1
    assert not (fires & ~beyond).any()
    if activation != "gated":  # its other bias may silence a latent whose gate is open
        assert torch.equal(fires, beyond)

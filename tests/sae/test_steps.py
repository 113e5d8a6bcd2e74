"""The steps by hand against autograd: same loss, error, counts and gradients, whatever the shapes."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from hsae.sae import threshold_search, topk_search
from hsae.sae.bank import new_sae
from hsae.sae.config import SAEConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.outcome import GradientStep
from hsae.sae.start import initialise
from hsae.sae.steps import AutogradStep, choose_step
from hsae.sae.threshold_search import ThresholdSearch
from hsae.sae.threshold_step import SparseReLUStep
from hsae.sae.topk_search import ExactSearch, RoundedSearch
from hsae.sae.topk_step import TopKStep
from hsae.sae.variants import VARIANTS

SHAPES = [(600, 12, 100, 5), (7, 12, 33, 4), (64, 8, 8, 8), (16, 20, 257, 1), (512, 16, 512, 32)]
"""batch, d_in, d_sae, k: more than a chunk, less, all latents active, one, and groups that do not fill up."""

WEIGHT = torch.tensor(0.03)
EQUAL = 1e-5 if torch.__version__ >= "2.7" else 2e-5
"""Of the largest gradient; torch 2.6 rounds two of them to 1.2e-5."""


def trained_a_little(config: SAEConfig, d_in: int, batch: int) -> tuple[SparseAutoencoder, torch.Tensor]:
    sae, x = new_sae(config, d_in), torch.randn(batch, d_in)
    initialise(sae, x, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    sae.W_enc.data = sae.W_enc.data.T.contiguous().T
    return sae.train(), x


@pytest.mark.parametrize(("batch", "d_in", "d_sae", "k"), SHAPES)
@pytest.mark.parametrize("activation", ["topk", "relu"])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_step_by_hand_equals_autograd(
    activation: str, batch: int, d_in: int, d_sae: int, k: int, bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topk_search, "multiplies_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(threshold_search, "multiplies_bfloat16", lambda: bfloat16)
    config = SAEConfig(activation, d_sae=d_sae, k=k)
    sae, x = trained_a_little(config, d_in, batch)
    step = choose_step(config, d_in, torch.device("cpu"))
    assert isinstance(step, TopKStep if activation == "topk" else SparseReLUStep)
    compare_with_autograd(config, sae, x, step)


def compare_with_autograd(config: SAEConfig, sae: SparseAutoencoder, x: torch.Tensor, step: GradientStep) -> None:
    """Same loss, error, counts and gradients as autograd's in double precision."""
    for _ in range(2):  # the second time the buffers are not fresh
        by_hand = step(sae, x, WEIGHT)
    oracle = deepcopy(sae).double()
    expected = AutogradStep(sae.variant, config.objective(sae.d_in))(oracle, x.double(), WEIGHT.double())
    assert torch.allclose(by_hand.loss.double(), expected.loss, rtol=1e-5)
    assert torch.allclose(by_hand.error, expected.error, atol=1e-5)
    assert torch.equal(by_hand.counts, expected.counts)
    for (name, parameter), exact in zip(sae.named_parameters(), oracle.parameters(), strict=True):
        largest = exact.grad.abs().max()
        assert (parameter.grad - exact.grad).abs().max() <= EQUAL * largest, name


PARTS = {
    "topk, prefixes": SAEConfig("topk", d_sae=64, k=6, prefixes=3),
    "topk, all latents in prefixes": SAEConfig("topk", d_sae=9, k=9, prefixes=2),
    "nested k": SAEConfig("topk", d_sae=64, ks=(1, 4, 9), k_weights=(3, 1, 1)),
    "nested k, one weight 0": SAEConfig("topk", d_sae=64, ks=(2, 9), k_weights=(0, 1)),
    "coarse and fine": SAEConfig("coarse_fine", groups=((24, 1), (40, 6)), group_weights=(2, 1)),
    "three groups": SAEConfig("coarse_fine", groups=((10, 1), (20, 20), (34, 5))),
    "relu, many active, prefixes": SAEConfig("relu", d_sae=64, k=32, prefixes=4),
    "relu, few active, prefixes": SAEConfig("relu", d_sae=256, k=4, prefixes=4),
    "jumprelu": SAEConfig("jumprelu", d_sae=256, k=6),
    "jumprelu, prefixes": SAEConfig("jumprelu", d_sae=256, k=6, prefixes=4),
}


@pytest.mark.parametrize("batch", [5, 600])
@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_parts_that_reconstruct_alone_go_by_hand_too(
    name: str, batch: int, bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topk_search, "multiplies_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(threshold_search, "multiplies_bfloat16", lambda: bfloat16)
    config = PARTS[name]
    sae, x = trained_a_little(config, 12, batch)
    step = choose_step(config, 12, torch.device("cpu"))
    assert not isinstance(step, AutogradStep)
    compare_with_autograd(config, sae, x, step)


def test_without_weights_of_their_own_parts_change_nothing() -> None:
    """Nested k with all weight on the last is TopK; a control: with weight on the first it is not."""
    plain = SAEConfig("topk", d_sae=64, k=9)
    sae, x = trained_a_little(plain, 12, 50)
    losses = [
        choose_step(config, 12, torch.device("cpu"))(sae, x, WEIGHT).loss
        for config in (plain, PARTS["nested k, one weight 0"], PARTS["nested k"])
    ]
    assert torch.allclose(losses[0], losses[1], rtol=1e-6)
    assert losses[2] > 1.01 * losses[0]


@pytest.mark.parametrize(("batch", "d_in", "d_sae", "k"), SHAPES)
@pytest.mark.parametrize("search", [ExactSearch, RoundedSearch])
def test_a_search_finds_exactly_the_largest(search: type, batch: int, d_in: int, d_sae: int, k: int) -> None:
    centred, rows, bias = torch.randn(batch, d_in), torch.randn(d_sae, d_in), torch.randn(d_sae)
    found = search(d_sae, k)(centred, rows, bias)
    pre = torch.addmm(bias, centred, rows.T)
    expected = pre.topk(k).values.relu()
    assert torch.allclose(found.values.sort(dim=-1, descending=True).values, expected, atol=1e-5)
    positive = found.values > 0
    assert torch.allclose(pre.gather(1, found.indices)[positive], found.values[positive], atol=1e-5)
    assert all(len(set(row.tolist())) == k for row in found.indices[:20])


@pytest.mark.parametrize(("batch", "d_in", "d_sae", "k"), SHAPES)
@pytest.mark.parametrize("search", [ExactSearch, RoundedSearch])
def test_tokens_without_a_positive_latent_get_real_latents_of_value_0(search, batch, d_in, d_sae, k) -> None:
    found = search(d_sae, k)(torch.randn(batch, d_in), torch.randn(d_sae, d_in), torch.full((d_sae,), -1000.0))
    assert not found.values.any()
    assert found.indices.max() < d_sae
    assert all(len(set(row.tolist())) == k for row in found.indices[:20])


def test_a_loud_group_does_not_hide_others() -> None:
    """All k winners in one group, then each in its own."""
    search = ExactSearch(96, 4)
    for winners in (search.groups.first.flatten()[:4], torch.arange(4)):
        pre = torch.zeros(1, 96)
        pre[0, winners] = torch.tensor([4.0, 3.0, 2.0, 1.0])[: len(winners)]
        found = search(pre, torch.eye(96), torch.zeros(96))
        chosen = found.indices[found.values > 0]
        assert sorted(chosen.tolist()) == sorted(winners.tolist())


@pytest.mark.parametrize(("spare", "lost"), [(topk_search.SPARE, 0), (0, 1)])
def test_spare_latents_make_up_for_rounding(spare: int, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 4 largest stand beside 4 that bfloat16 cannot tell from them and that come first."""
    monkeypatch.setattr(topk_search, "SPARE", spare)
    rows = torch.ones(96, 1)
    rows[10:14, 0], rows[60:64, 0] = 4.0, 4.001
    found = RoundedSearch(96, 4)(torch.ones(1, 1), rows, torch.zeros(96))
    missed = set(range(60, 64)) - set(found.indices[0].tolist())
    assert bool(missed) == bool(lost)


def loud(batch: int, d_in: int, d_sae: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, encoder rows and biases with dimensions, tokens and rows far louder than the others."""
    centred, rows, bias = torch.randn(batch, d_in), 0.2 * torch.randn(d_sae, d_in), torch.randn(d_sae) - 1.0
    centred[:, :2] *= 8.0
    centred[::7] *= 3.0
    rows[::5] *= 4.0
    return centred, rows, bias


def test_a_threshold_search_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    centred, rows, bias = loud(700, 24, 300)
    bar = torch.linspace(-0.5, 1.5, 300)
    pre = torch.addmm(bias, centred, rows.T)

    def missed(bfloat16: bool, rounding: float) -> int:
        monkeypatch.setattr(threshold_search, "multiplies_bfloat16", lambda: bfloat16)
        monkeypatch.setattr(threshold_search, "ROUNDING", rounding)
        tokens, latents, values = ThresholdSearch(300)(centred, rows, bias, bar, 300)
        assert torch.allclose(values, pre[tokens, latents], atol=1e-4)
        assert (values > bar[latents]).all()
        assert (torch.diff(tokens * 300 + latents) > 0).all()
        sure = pre > bar + 1e-4
        sure[tokens, latents] = False
        return int(sure.sum())

    assert missed(bfloat16=False, rounding=threshold_search.ROUNDING) == 0
    assert missed(bfloat16=True, rounding=threshold_search.ROUNDING) == 0
    assert missed(bfloat16=True, rounding=0.0) > 0, "control: without the margin some are"


def test_a_threshold_search_gives_up_when_many_are_active() -> None:
    centred, rows, bias = loud(30, 24, 300)
    active = (torch.addmm(bias, centred, rows.T) > 0).sum().item()
    search = ThresholdSearch(300)
    assert search(centred, rows, bias, torch.zeros(300), active // 60) is None
    assert search(centred, rows, bias, torch.zeros(300), active // 15) is not None


@pytest.mark.parametrize(
    "config",
    [
        SAEConfig("jumprelu", d_sae=64, k=9, prefixes=3),
        SAEConfig("gated", d_sae=64),
        SAEConfig("batchtopk", d_sae=64, k=4),
    ],
    ids=lambda config: f"{config.activation}-{config.prefixes}",
)
def test_other_objectives_go_through_autograd(config: SAEConfig) -> None:
    assert isinstance(choose_step(config, 8, torch.device("cpu")), AutogradStep)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch.compile's own
@pytest.mark.parametrize("activation", VARIANTS)
def test_a_compiled_step_equals_the_plain_one_for_several_layers(activation: str) -> None:
    """What a GPU runs, as captured by torch.compile; "aot_eager" leaves out the code that is made from it."""
    config = SAEConfig(activation, d_sae=64, k=4, prefixes=1 if VARIANTS[activation].settings else 2)
    objective = config.objective(8)
    compiled = AutogradStep(VARIANTS[activation], objective, backend="aot_eager")
    plain = AutogradStep(VARIANTS[activation], objective)
    for _ in range(3):
        sae, x = trained_a_little(config, 8, 50)
        copy = deepcopy(sae)
        found, expected = compiled(sae, x, WEIGHT), plain(copy, x, WEIGHT)
        assert torch.allclose(found.loss, expected.loss, rtol=1e-5)
        assert torch.allclose(found.error, expected.error, atol=1e-5)
        assert torch.equal(found.counts, expected.counts)
        for ours, theirs in zip(sae.parameters(), copy.parameters(), strict=True):
            assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)
        assert all(torch.allclose(a, b) for a, b in zip(sae.buffers(), copy.buffers(), strict=True))

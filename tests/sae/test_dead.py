"""Dead latents are counted right, and AuxK and resampling bring them back."""

from __future__ import annotations

import pytest
import torch

from hsae.sae.bank import InputScale, new_sae
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.dead import DeadTracker, auxk_loss
from hsae.sae.layer import LayerTraining, TrainingRun
from hsae.sae.model import SparseAutoencoder
from hsae.sae.steps import AutogradStep, choose_step


def test_the_tracker_counts_tokens_since_the_last_firing() -> None:
    tracker = DeadTracker(3, dead_after=20)
    tracker.update(torch.tensor([True, False, False]), 10)
    tracker.update(torch.tensor([False, True, False]), 10)
    assert tracker.silent.tolist() == [10, 0, 20]
    assert tracker.dead.tolist() == [2]


def half_dead(config: SAEConfig, train: TrainConfig) -> LayerTraining:
    """An SAE whose first 20 latents cannot fire, and count as dead."""
    sae = SparseAutoencoder(8, 40, "topk", 4)
    with torch.no_grad():
        sae.W_dec.normal_()
        sae.normalise_decoder()
        sae.W_enc.copy_(0.3 * sae.W_dec.T)
        sae.b_enc[:20] = -5.0
    step = choose_step(config, 8, torch.device("cpu"))
    scale = InputScale(torch.zeros(8), torch.ones(()))
    layer = LayerTraining("block_01", sae, scale, step, TrainingRun(config, train))
    layer.tracker.silent[:20] = config.dead_after
    return layer


@pytest.mark.slow
def test_auxk_revives_relu_latents_that_no_token_reaches() -> None:
    """Half of the latents start with a bias that makes them negative everywhere."""

    def silent(auxk: float) -> int:
        config = SAEConfig("relu", d_sae=40, k=4, l1=1e-3, auxk=auxk, dead_after=500)
        sae = new_sae(config, 8)
        with torch.no_grad():
            sae.W_dec.normal_(generator=torch.Generator().manual_seed(0))
            sae.normalise_decoder()
            sae.W_enc.copy_(sae.W_dec.T)
            sae.b_enc[:20] = -5.0
        step = choose_step(config, 8, torch.device("cpu"))
        scale = InputScale(torch.zeros(8), torch.ones(()))
        layer = LayerTraining("block_01", sae, scale, step, TrainingRun(config, TrainConfig()))
        generator = torch.Generator().manual_seed(1)
        for number in range(600):
            layer.advance(torch.randn(64, 8, generator=generator), 2e-2, number)
        return int((sae(torch.randn(2000, 8))[1] > 0).any(0).logical_not().sum())

    assert silent(auxk=0.0) >= 15
    assert silent(auxk=1 / 32) <= 2


def test_lifted_auxk_reads_latents_without_their_bias_and_still_moves_it() -> None:
    layer, x, dead = half_dead(SAEConfig(d_sae=40, k=4), TrainConfig()), torch.randn(6, 8), torch.arange(20)
    error = x - layer.sae(x)[0].detach()
    found = auxk_loss(layer.sae, x, error, dead, lifted=True)
    found.backward()
    assert (layer.sae.b_enc.grad[:20] < 0).all()
    assert not layer.sae.b_enc.grad[20:].any()
    with torch.no_grad():
        layer.sae.b_enc[:20] = 0.0
    assert abs(found.item() - naive_auxk(layer.sae, x, error, list(range(20)), k=4)) < 1e-6


def naive_auxk(sae: SparseAutoencoder, x: torch.Tensor, error: torch.Tensor, dead: list[int], k: int) -> float:
    total = 0.0
    for row, missed in zip(x, error, strict=True):
        pre = {j: ((row - sae.b_dec) @ sae.W_enc[:, j] + sae.b_enc[j]).item() for j in dead}
        best = sorted(pre, key=pre.get, reverse=True)[:k]
        total += (missed - sum(max(pre[j], 0.0) * sae.W_dec[j] for j in best)).pow(2).sum().item()
    return total / error.pow(2).sum().item()


def test_auxk_equals_the_naive_one() -> None:
    layer = half_dead(SAEConfig(d_sae=40, k=4), TrainConfig())
    with torch.no_grad():
        layer.sae.b_enc[:20] = 0.1
    x = torch.randn(6, 8)
    error = x - layer.sae(x)[0].detach()
    dead = list(range(20))
    found = auxk_loss(layer.sae, x, error, torch.tensor(dead)).item()
    assert abs(found - naive_auxk(layer.sae, x, error, dead, k=4)) < 1e-6, "k is d_in / 2"


def test_auxk_adds_to_the_gradients_of_the_step_by_hand() -> None:
    config = SAEConfig(d_sae=40, k=4, auxk=0.5)
    layer, x = half_dead(config, TrainConfig()), torch.randn(50, 8)
    with torch.no_grad():
        layer.sae.b_enc[:20] = -0.5
    outcome = layer._gradients(x)
    by_hand = {name: parameter.grad.clone() for name, parameter in layer.sae.named_parameters()}
    expected = AutogradStep(layer.sae.variant, config.objective(8))(layer.sae, x, torch.zeros(()))
    aux = 0.5 * auxk_loss(layer.sae, x, -expected.error, layer.tracker.dead)
    aux.backward()
    assert torch.allclose(outcome.loss, expected.loss + aux)
    for name, parameter in layer.sae.named_parameters():
        assert torch.allclose(by_hand[name], parameter.grad, atol=1e-6), name


def revived(config: SAEConfig, train: TrainConfig) -> int:
    """How many of the 20 dead latents fire after 300 steps on Gaussian data."""
    layer = half_dead(config, train)
    for step in range(300):
        layer.advance(torch.randn(64, 8), train.lr, step)
    return int((layer.sae(torch.randn(2000, 8))[1][:, :20] > 0).any(0).sum())


def test_dead_latents_stay_dead_without_help_and_come_back_with_it() -> None:
    train = TrainConfig(lr=3e-3)
    assert revived(SAEConfig(d_sae=40, k=4, auxk=0.0, dead_after=1000), train) == 0
    assert revived(SAEConfig(d_sae=40, k=4, auxk=0.0, dead_after=1000), TrainConfig(lr=3e-3, resample_every=100)) >= 18


@pytest.mark.slow
def test_auxk_revives_latents_that_are_nearly_large_enough() -> None:
    def run(auxk: float) -> int:
        config = SAEConfig(d_sae=40, k=4, auxk=auxk, dead_after=1000)
        layer = half_dead(config, TrainConfig(lr=1e-2))
        with torch.no_grad():
            layer.sae.b_enc[:20] = -0.35
        for step in range(400):
            layer.advance(torch.randn(64, 8), 1e-2, step)
        return int((layer.sae(torch.randn(2000, 8))[1][:, :20] > 0).any(0).sum())

    assert run(auxk=1.0) > run(auxk=0.0)


def test_resampling_forgets_the_optimisers_moments_of_the_replaced_latents_only() -> None:
    train = TrainConfig(resample_every=1)
    layer = half_dead(SAEConfig(d_sae=40, k=4, auxk=0.0), train)
    layer.advance(torch.randn(64, 8), train.lr / 2, 0)  # no resampling below the peak rate
    for weight in layer.weights.values():
        layer.optimiser.state[weight]["exp_avg"].fill_(1.0)
    layer.advance(torch.randn(64, 8), train.lr, 1)
    for name in ("W_enc", "W_dec", "b_enc"):
        moment = layer.optimiser.state[layer.weights[name]]["exp_avg"]
        assert len(moment) == 40, "row by row of the latents"
        assert (moment[:20] == 0).all()
        assert (moment[20:] != 0).all()

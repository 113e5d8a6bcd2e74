"""Thresholds in place of a choice, biases moved to a target L0, and decoders refitted, against least squares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hsae.activations.online import OnlineActivations
from hsae.activations.store import ActivationStore
from hsae.errors import InputError
from hsae.sae.bank import InputScale
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.finish import aim, finish, fvu, l0, refit_decoder, refit_scale, set_thresholds
from hsae.sae.model import SparseAutoencoder
from hsae.sae.train import train_bank
from tests.activations.noise_images import noise_samples
from tests.synthetic import planted, write_store
from tests.tiny_models import tiny_dinov2

TRAIN = TrainConfig(epochs=6, batch_size=128, lr=3e-3)


def random_sae(activation: str, **options: object) -> SparseAutoencoder:
    sae = SparseAutoencoder(8, 20, activation, 3, **options)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
        sae.b_enc.sub_(0.5)
    sae.normalise_decoder()
    return sae.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    x, _ = planted(4000, 16, 30, 3)
    return write_store(tmp_path_factory.mktemp("store") / "acts", {"block_01": (3 * x + 1).unsqueeze(1)})


def trained(store: ActivationStore, config: SAEConfig, folder: Path) -> tuple[SparseAutoencoder, dict[str, float]]:
    sae = train_bank(store, config, TRAIN, progress=False, checkpoint=folder)["block_01"]
    return sae, json.loads((folder / "summary.json").read_text())["final"]["block_01"]


def test_thresholds_let_each_latent_fire_as_often_as_the_choice_did() -> None:
    sae, x = random_sae("coarse_fine", groups=((6, 1), (14, 3))), torch.randn(3000, 8)
    chosen = (sae.train().encode(x) > 0).sum(0)
    set_thresholds(sae, x)
    assert torch.equal((sae.eval().encode(x) > 0).sum(0), chosen)
    assert (chosen > 0).sum() > 10
    assert torch.equal(sae.encode(x[:1]), sae.encode(x)[:1]), "a token does not depend on its batch"


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_aiming_gives_the_target_and_leaves_the_directions(activation: str) -> None:
    sae, x = random_sae(activation), torch.randn(2000, 8)
    weights, before = sae.W_enc.clone(), l0(sae, x)
    aim(sae, x, 4.5)
    assert abs(before - 4.5) > 0.5
    pre = (sae.pre_activation(x) > 0).sum().item() / len(x)
    assert pre == pytest.approx(4.5, abs=1e-3)
    assert torch.equal(sae.W_enc, weights)


def least_squares_fvu(z: torch.Tensor, x: torch.Tensor) -> float:
    """What the best decoder and bias leave of the variance."""
    design = torch.cat([z, torch.ones(len(z), 1)], 1).double()
    missed = x.double() - design @ torch.linalg.lstsq(design, x.double(), driver="gelsd").solution
    return (missed.pow(2).sum() / (x - x.mean(0)).double().pow(2).sum()).item()


@pytest.mark.parametrize("activation", ["relu", "gated", "jumprelu"])
def test_a_refitted_decoder_is_the_best_one_for_the_same_latents(activation: str) -> None:
    sae, x = random_sae(activation), torch.randn(20_000, 8) @ torch.randn(8, 8) + 3.0
    z, before = sae.encode(x), fvu(sae, x)
    refit_decoder(sae, x)
    best = least_squares_fvu(z, x)
    assert best <= fvu(sae, x) <= 1.05 * best < 0.9 * before
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(20), atol=1e-5)
    after, often = sae.encode(x), (z > 0).sum(0) > 10
    assert torch.equal((after > 0).sum(0)[often], (z > 0).sum(0)[often]), "the encoder is frozen but for lengths"
    ratio = (after.sum(0) / z.sum(0))[often]
    assert torch.allclose(after[:, often], z[:, often] * ratio, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_a_refitted_scale_keeps_the_directions(activation: str) -> None:
    sae, x = random_sae(activation), torch.randn(5000, 8) @ torch.randn(8, 8)
    rows, before = sae.W_dec.clone(), fvu(sae, x)
    refit_scale(sae, x)
    assert fvu(sae, x) < before
    assert torch.allclose(sae.W_dec, rows, atol=1e-5)


def test_a_latent_that_hardly_ever_fires_keeps_its_direction() -> None:
    sae, x = random_sae("relu"), torch.randn(4000, 8)
    pre = (x - sae.b_dec) @ sae.W_enc[:, 0]
    sae.b_enc[0] = -(pre.max() + pre.kthvalue(len(x) - 1).values) / 2
    rows = sae.W_dec.clone()
    refit_decoder(sae, x)
    assert (sae.encode(x)[:, 0] > 0).sum() == 1
    turned = torch.cosine_similarity(sae.W_dec, rows)
    assert turned[0] > 0.5
    assert turned[1:].min() < 0.5, "control: others turn"


def test_an_sae_whose_latents_are_too_short_gets_its_lengths_back() -> None:
    """Disjoint latents, so that the length that was lost is known: a factor of 1.4."""
    sae = SparseAutoencoder(8, 8, "relu", 1).requires_grad_(False)
    sae.W_enc.copy_(torch.eye(8) / 1.4)
    sae.W_dec.copy_(torch.eye(8))
    x = torch.rand(4000, 8) * (torch.rand(4000, 8) < 0.2)
    refit_scale(sae, x)
    assert torch.allclose(sae.W_enc, torch.eye(8), atol=0.02)


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_the_penalised_variants_are_refitted_unless_told_otherwise(
    activation: str, store: ActivationStore, tmp_path: Path
) -> None:
    x = store.layer("block_01").flatten(0, 1)
    config = {"activation": activation, "d_sae": 48, "k": 4, "l1": 0.1}
    refitted, numbers = trained(store, SAEConfig(**config), tmp_path / "default")
    plain, without = trained(store, SAEConfig(**config, refit="none"), tmp_path / "none")
    assert "fvu_after_refit" not in without
    assert numbers["fvu_after_refit"] < numbers["fvu_before_refit"]
    assert fvu(refitted, x) == pytest.approx(numbers["fvu_after_refit"], rel=0.2)
    assert fvu(plain, x) == pytest.approx(numbers["fvu_before_refit"], rel=0.2)
    assert torch.equal(refitted.encode(x[:99]) > 0, plain.encode(x[:99]) > 0)


def test_a_variant_that_competes_cannot_be_refitted() -> None:
    with pytest.raises(InputError, match="refit decoder for topk"):
        SAEConfig("topk", refit="decoder")


def test_coarse_and_fine_is_measured_by_its_thresholds(store: ActivationStore, tmp_path: Path) -> None:
    sae, numbers = trained(store, SAEConfig("coarse_fine", groups=((16, 1), (32, 3))), tmp_path)
    x = store.layer("block_01").flatten(0, 1)
    assert l0(sae, x) == pytest.approx(numbers["l0_finished"], rel=0.1) == pytest.approx(4, rel=0.1)
    assert fvu(sae, x) == pytest.approx(numbers["fvu_after_refit"], rel=0.2)
    assert numbers["fvu_after_refit"] < numbers["fvu_before_refit"]
    assert not sae.training


def test_finishing_without_anything_to_do_only_folds() -> None:
    sae, x = random_sae("topk"), torch.randn(50, 8)
    scale = InputScale(torch.randn(8), torch.tensor(2.0))
    expected = sae(scale.normalise(x))[0] * 2 + scale.mean
    assert finish(sae, scale, torch.empty(0, 8), "none", None) == {}
    assert torch.allclose(sae(x)[0], expected, atol=1e-5)


def test_without_a_store_one_pass_of_the_backbone_finishes_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    source = OnlineActivations(tiny_dinov2(), noise_samples(12), ("block_01", "block_03"), images_per_run=4)
    runs, tokens_of = [], OnlineActivations.tokens_of

    def counted(self: OnlineActivations, pixels: object, layers: object, *where: object) -> object:
        runs.append(tuple(layers))
        return tokens_of(self, pixels, layers, *where)

    monkeypatch.setattr(OnlineActivations, "tokens_of", counted)

    def passes(config: SAEConfig) -> float:
        runs.clear()
        bank = train_bank(source, config, TrainConfig(epochs=4, batch_size=32), progress=False)
        x = source.tokens([0, 1], ("block_03",))["block_03"].flatten(0, 1)
        assert fvu(bank["block_03"], x) < 1
        return len([layers for layers in runs if len(layers) == 2]) / 3

    relu = {"activation": "relu", "d_sae": 64, "k": 8}
    assert passes(SAEConfig(**relu)) - passes(SAEConfig(**relu, refit="none")) == 1

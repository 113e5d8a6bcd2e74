"""The SAE against formulas and numbers worked out by hand."""

from __future__ import annotations

import io
import multiprocessing
import pickle
from collections.abc import Callable

import pytest
import torch
from transformers import HfArgumentParser

from hsae.errors import InputError
from hsae.sae.config import SAEConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.variants import VARIANTS


def by_hand(activation: str, k: int = 1) -> SparseAutoencoder:
    sae = SparseAutoencoder(2, 3, activation=activation, k=k)
    with torch.no_grad():
        sae.W_enc.copy_(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]))
        sae.b_enc.copy_(torch.tensor([0.0, 0.5, -1.0]))
        sae.W_dec.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]))
        sae.b_dec.copy_(torch.tensor([1.0, -1.0]))
    return sae


def random_sae(activation: str, k: int = 4) -> SparseAutoencoder:
    sae = SparseAutoencoder(8, 24, activation=activation, k=k)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.randn_like(parameter))
    sae.normalise_decoder()
    return sae


def latents_elsewhere(sae: SparseAutoencoder, x: torch.Tensor, results: object) -> None:
    """What a spawned process does with an SAE that it is given."""
    results.put(sae.encode(x).tolist())


X = torch.tensor([[3.0, 0.0], [0.0, -3.0]])  # minus b_dec: (2, 1), (-1, -2); pre: (2, 1.5, 2), (-1, -1.5, -4)


def test_forward_by_hand_relu() -> None:
    x_hat, z = by_hand("relu")(X)
    assert torch.allclose(z, torch.tensor([[2.0, 1.5, 2.0], [0.0, 0.0, 0.0]]))
    assert torch.allclose(x_hat, torch.tensor([[2 + 1.2 + 1, 1.5 + 1.6 - 1], [1.0, -1.0]]))


def test_forward_by_hand_topk() -> None:
    x_hat, z = by_hand("topk", k=2)(X)
    assert torch.allclose(z, torch.tensor([[2.0, 0.0, 2.0], [0.0, 0.0, 0.0]])), "a negative top-k value is no latent"
    assert torch.allclose(x_hat, torch.tensor([[2 + 1.2 + 1, 1.6 - 1], [1.0, -1.0]]))


def test_topk_keeps_the_largest_positive_ones() -> None:
    sae, x = random_sae("topk"), torch.randn(50, 8)
    for pre, z in zip(sae.pre_activation(x), sae.encode(x), strict=True):
        kept = sorted((v.item() for v in pre if v > 0), reverse=True)[:4]
        assert sorted((v.item() for v in z if v > 0), reverse=True) == kept


def test_encode_topk_is_the_sparse_form_of_encode() -> None:
    sae, x = random_sae("relu"), torch.randn(5, 3, 8)
    values, indices = sae.encode_topk(x, k=24)
    assert torch.equal(torch.zeros(5, 3, 24).scatter(-1, indices, values), sae.encode(x))
    assert (values.diff(dim=-1) <= 0).all()


@pytest.mark.parametrize("activation", ["relu", "topk"])
def test_folding_the_input_scale_is_exact(activation: str) -> None:
    sae, x = random_sae(activation).double(), torch.randn(40, 8, dtype=torch.float64)
    mean, scale = torch.randn(8, dtype=torch.float64), torch.tensor(2.7, dtype=torch.float64)
    x_hat, z = sae((x - mean) / scale)
    rows = sae.W_dec.clone()
    sae.fold_input(mean, scale)
    folded_x_hat, folded_z = sae(x)
    assert torch.allclose(folded_z, scale * z, atol=1e-12)
    assert torch.allclose(folded_x_hat, scale * x_hat + mean, atol=1e-12)
    assert torch.equal(sae.W_dec, rows)


def test_normalise_decoder_gives_unit_rows_in_the_same_direction() -> None:
    sae = SparseAutoencoder(4, 6, k=2)
    rows = torch.randn(6, 4)
    with torch.no_grad():
        sae.W_dec.copy_(rows)
    sae.normalise_decoder()
    assert torch.allclose(sae.W_dec.norm(dim=-1), torch.ones(6))
    assert torch.allclose(torch.cosine_similarity(sae.W_dec, rows, dim=-1), torch.ones(6))


def test_activations_of_another_width_are_refused() -> None:
    with pytest.raises(InputError, match="width 5"):
        SparseAutoencoder(4, 64)(torch.randn(2, 5))


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "swish"},
        {"k": 0},
        {"expansion": -1},
        {"d_sae": 0},
        {"l1": -1.0},
        {"d_sae": 16, "k": 17},
        {"ks": (8, 1)},
        {"ks": (1, 8), "k_weights": (1,)},
        {"ks": (1, 8), "k_weights": (0, 0)},
        {"ks": (0, 8)},
        {"ks": (1, 8), "d_sae": 7},
        {"ks": (1, 8), "prefixes": 2},
        {"activation": "relu", "ks": (1, 8)},
        {"groups": ((8, 1), (8, 7))},
        {"activation": "coarse_fine", "groups": ((8, 9), (8, 7))},
        {"activation": "coarse_fine", "groups": ((8, 1), (8, 7)), "d_sae": 17},
        {"refit": "all"},
        {"activation": "coarse_fine", "prefixes": 2},
        {"activation": "coarse_fine", "group_weights": (1, 1, 1)},
    ],
    ids=str,
)
def test_impossible_configurations_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SAEConfig(**settings)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(InputError, match=r"k 0 ; l1 -1.*a positive number ; 0 or more"):
        SAEConfig(k=0, l1=-1)


def test_lists_come_from_python_or_as_the_text_of_a_flag() -> None:
    (parsed,) = HfArgumentParser(SAEConfig).parse_args_into_dataclasses(["--ks", "1,8,64", "--k_weights", "3,1,1"])
    assert parsed == SAEConfig(ks=(1, 8, 64), k_weights=(3, 1, 1))
    assert parsed.k == 64
    arguments = ["--activation", "coarse_fine", "--groups", "768:1,768:63", "--group_weights", "1,2"]
    (grouped,) = HfArgumentParser(SAEConfig).parse_args_into_dataclasses(arguments)
    assert (grouped.k, grouped.d_sae, grouped.groups) == (64, 1536, ((768, 1), (768, 63)))
    assert grouped.objective(384).weights == pytest.approx((1 / 3, 2 / 3))


def test_coarse_and_fine_halves_its_width_unless_told_otherwise() -> None:
    assert SAEConfig("coarse_fine", expansion=2, k=5).groups_of(10) == ((5, 1), (5, 4))


def test_another_k_of_the_list_shares_the_weights() -> None:
    sae, x = SparseAutoencoder(8, 24, "topk", 4, ks=(1, 4)), torch.randn(20, 8)
    sae.load_state_dict(random_sae("topk").state_dict())
    one = sae.with_k(1)
    assert ((one.encode(x) > 0).sum(1) <= 1).all()
    assert torch.equal(one.encode(x).max(1).values, sae.encode(x).max(1).values)
    assert one.W_enc is sae.W_enc
    assert sae.k == 4
    for wrong in (2, 0, "1"):
        with pytest.raises(InputError, match="1, 4"):
            sae.with_k(wrong)
    with pytest.raises(InputError, match="thresholds"):
        random_sae("relu").with_k(4)


def test_width_follows_expansion_unless_given() -> None:
    assert SAEConfig(expansion=4).width(10) == 40
    assert SAEConfig(expansion=4, d_sae=99).width(10) == 99


def by_pickle(sae: SparseAutoencoder) -> SparseAutoencoder:
    return pickle.loads(pickle.dumps(sae))


def by_torch_save(sae: SparseAutoencoder) -> SparseAutoencoder:
    file = io.BytesIO()
    torch.save(sae, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [by_pickle, by_torch_save])
@pytest.mark.parametrize("activation", VARIANTS)
def test_an_sae_survives_pickling(activation: str, copied: Callable[[SparseAutoencoder], SparseAutoencoder]) -> None:
    sae, x = random_sae(activation).eval(), torch.randn(20, 8)
    twin = copied(sae)
    assert torch.equal(twin.encode(x), sae.encode(x))
    assert (twin.activation, twin.k, twin.training) == (activation, 4, False)
    assert all(torch.equal(a, b) for a, b in zip(twin.state_dict().values(), sae.state_dict().values(), strict=True))


@pytest.mark.slow
def test_an_sae_can_be_given_to_a_spawned_process() -> None:
    sae, x = random_sae("gated").requires_grad_(False), torch.randn(5, 8)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=latents_elsewhere, args=(sae, x, results))
    process.start()
    found = torch.tensor(results.get(timeout=1800))
    process.join()
    assert torch.equal(found, sae.encode(x))

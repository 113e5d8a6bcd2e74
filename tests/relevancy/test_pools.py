"""Maps at an attention pool lie on the map that is pooled: against the pool written out, and where truth is planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.backbones.clip_resnet import HEAD_WIDTH, CLIPResNet, CLIPResNetBackbone, CLIPResNetShape
from hsae.errors import InputError
from hsae.faithfulness.curves import faithfulness_curve
from hsae.relevancy import METHODS, default_method, layer_maps, relevancy_map, usable_methods
from hsae.relevancy.targets import latent_target
from tests.backbones.odd_models import noise, randomised
from tests.tiny_models import random_sae

SIDE, POOL, LATENT = 128, "attnpool", 3
SHAPE = CLIPResNetShape(width=4, depths=(1, 1, 1, 1), side=4, d_out=24)
AT_POOL = ("attn_lrp", "direct", "grad_cam", "input_gradient")


@pytest.fixture(scope="module")
def backbone():
    return CLIPResNetBackbone("tiny", randomised(CLIPResNet(SHAPE)), SIDE)


@pytest.fixture(scope="module")
def sae():
    return random_sae(d_in=SHAPE.d_out)


@pytest.fixture(scope="module")
def pixels():
    return noise(SIDE)


def found(backbone, sae, pixels, method):
    return relevancy_map(backbone, sae, pixels, POOL, LATENT, method=method, token="mean").values


def pool_by_hand(backbone, pixels, share=lambda x, part: x):
    """The map, the attention and values of every head `[heads, 17 ...]`, and the pooled token.

    share: what passes on only a part of the gradient.
    """
    pool = backbone.model.attnpool
    x = backbone.run_pixels(pixels, ["layer4"])["layer4"].detach().requires_grad_()
    tokens = torch.cat([x.mean(1, keepdim=True), x], 1)[0] + pool.positional_embedding
    heads = []
    for head in torch.arange(x.shape[-1]).split(HEAD_WIDTH):
        q, k, v = (getattr(pool, f"{part}_proj")(tokens)[:, head] for part in "qkv")
        q, k, v = share(q[0], 0.25), share(k, 0.25), share(v, 0.5)
        heads.append(((k @ q / HEAD_WIDTH**0.5).softmax(-1), v))
    mixed = torch.cat([attention @ v for attention, v in heads])
    return x, heads, pool.c_proj(mixed)


def same(values, expected):
    expected = expected.detach().numpy()
    np.testing.assert_allclose(values.ravel(), expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_maps_have_the_rows_and_columns_of_the_map_that_is_pooled(backbone, sae, pixels):
    assert usable_methods(backbone, pixels, POOL) == AT_POOL
    for token in ("mean", "patch"):
        assert default_method(backbone, POOL, token) == "attn_lrp"
    for method in AT_POOL:
        values = found(backbone, sae, pixels, method)
        assert values.shape == (4, 4)
        assert np.unique(values).size > 8 or method == "grad_cam", method  # which leaves out what is negative
        assert np.isfinite(values).all()


@pytest.mark.parametrize("method", [name for name in METHODS if name not in AT_POOL])
def test_what_reads_the_tokens_of_the_layer_has_no_meaning_there(backbone, sae, pixels, method):
    with pytest.raises(InputError, match=f"{method} at attnpool.*one of grad_cam, input_gradient"):
        found(backbone, sae, pixels, method)


def test_attn_lrp_is_value_x_gradient_of_the_pool_with_the_rules_written_out(backbone, sae, pixels):
    x, _, y = pool_by_hand(backbone, pixels, lambda x, part: x * part + (x * (1 - part)).detach())
    (gradient,) = torch.autograd.grad(y @ sae.W_enc[:, LATENT], x)
    same(found(backbone, sae, pixels, "attn_lrp"), (x * gradient)[0].sum(-1))
    x, _, y = pool_by_hand(backbone, pixels)
    (plain,) = torch.autograd.grad(y @ sae.W_enc[:, LATENT], x)
    assert not torch.allclose(plain, gradient, rtol=0.1)  # the rules are what makes the difference


def test_direct_shares_add_up_to_what_the_attention_writes(backbone, sae, pixels):
    _, heads, y = pool_by_hand(backbone, pixels)
    pool, row = backbone.model.attnpool, sae.W_enc[:, LATENT]
    shares = torch.cat([attention[:, None] * v for attention, v in heads], 1) @ pool.c_proj.weight.T @ row
    values = found(backbone, sae, pixels, "direct")
    assert values.sum() == pytest.approx(((y - pool.c_proj.bias) @ row).item(), rel=1e-3)
    same(values, shares[1:] + shares[0] / 16)


def test_grad_cam_weighs_the_map_by_its_mean_gradient(backbone, sae, pixels):
    x, _, y = pool_by_hand(backbone, pixels)
    maps = []
    for latent in range(6):
        (gradient,) = torch.autograd.grad(y @ sae.W_enc[:, latent], x, retain_graph=True)
        maps.append(relevancy_map(backbone, sae, pixels, POOL, latent, method="grad_cam", token="mean").values)
        same(maps[-1], (x[0] @ gradient[0].mean(0)).clamp_min(0))
    assert any(np.unique(values).size > 8 for values in maps)


def test_layers_together_give_what_each_gives_alone(backbone, sae, pixels):
    layers = {"layer4": random_sae(d_in=backbone.layers["layer4"].d_in), POOL: sae}
    targets = {name: latent_target(backbone, each, name, LATENT, "mean") for name, each in layers.items()}
    together = layer_maps(backbone, pixels, targets)
    assert {name: map.method for name, map in together.items()} == {"layer4": "projection", POOL: "attn_lrp"}
    np.testing.assert_allclose(together[POOL].values, found(backbone, sae, pixels, "attn_lrp"), rtol=1e-4)


def selective(backbone):
    """The pool looks for a pattern: attention goes to places with much of channel 0, whose values are read."""
    model = randomised(CLIPResNet(SHAPE))
    model.load_state_dict(backbone.model.state_dict())
    pool = model.attnpool
    with torch.no_grad():
        for part in (pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj):
            part.weight.zero_()
            part.bias.zero_()
        pool.positional_embedding.zero_()
        pool.q_proj.bias[0] = 8.0
        pool.k_proj.weight[0, 0] = 8.0
        pool.v_proj.weight[0, 0] = 1.0
        pool.c_proj.weight[LATENT, 0] = 1.0
    return CLIPResNetBackbone("selective", model, SIDE)


def test_the_place_that_the_pool_looks_at_is_found(backbone, pixels):
    looking = selective(backbone)
    channel = looking.run_pixels(pixels, ["layer4"])["layer4"][0, :, 0]
    sae = random_sae(d_in=SHAPE.d_out)
    with torch.no_grad():
        sae.W_enc[:, LATENT] = torch.eye(SHAPE.d_out)[LATENT]
    for method in ("attn_lrp", "direct"):
        assert found(looking, sae, pixels, method).argmax() == channel.argmax(), method


def test_removal_takes_the_places_of_the_map_away(backbone, sae, pixels):
    target = latent_target(backbone, sae, POOL, LATENT, "mean")
    map = relevancy_map(backbone, sae, pixels, POOL, LATENT, method="attn_lrp", token="mean")
    curve = faithfulness_curve(backbone, target, pixels, POOL, map)
    whole, blurred = curve.morf[0], curve.morf[-1]
    assert whole == pytest.approx(map.target_value, rel=1e-3)
    assert len(set(np.round(curve.morf, 6))) > 3  # more than the image and its baseline
    assert whole != pytest.approx(blurred)


def test_other_layers_are_drawn_on_their_own_patches(backbone):
    assert [backbone.map_layer(layer) for layer in backbone.layers] == [
        "stem", "layer1", "layer2", "layer3", "layer4", "layer4",
    ]  # fmt: skip
    with pytest.raises(InputError, match="layer9"):
        backbone.map_layer("layer9")

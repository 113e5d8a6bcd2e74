"""Every method on a model worked out by hand, and on a random DINOv2 against formulas over the model's own modules."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.nn.functional import gelu, linear, silu

from hsae.errors import InputError
from hsae.relevancy import METHODS, relevancy_map
from hsae.relevancy.rules import attn_lrp
from hsae.relevancy.targets import LatentTarget
from hsae.relevancy.trace import record_direct
from tests.tiny_models import (
    PATCH,
    PlainBackbone,
    ShrinkingBackbone,
    UniformBackbone,
    colour_sae,
    random_pixels,
    random_sae,
    tiny_dinov2,
    tiny_model,
)

LATENT, LAYER = 3, "block_03"


def picture(red):
    """Pixels whose patches have that much red, and some green."""
    channels = torch.stack([red, torch.ones_like(red), torch.zeros_like(red)])
    return channels.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)


RED = torch.arange(-4.0, 12.0).view(4, 4)
# Class token = (sum of the 16 patches) / 17: patch p gives red_p / 17 to the latent "red". Its own token then reads
# red_p + (sum of red) / 17, and the gradient in the mean patch is (1, 0, 0) / 17.
SHARE = RED / 17
READ = RED + RED.sum() / 17
TRUTH = {
    "gradient_rollout": SHARE.clamp_min(0),
    "attn_lrp": SHARE / 2,  # the other half goes to query and key, where it is zero here
    "legrad": SHARE.clamp_min(0),  # gradient red_p, averaged over 17 queries of which one counts
    "direct": SHARE,
    "grad_cam": SHARE.clamp_min(0),
    "input_gradient": SHARE,
    "attention_rollout": torch.full((4, 4), 1 / 34),
    "activation": READ.clamp_min(0),
    "projection": READ,
}


@pytest.mark.parametrize("method", METHODS)
def test_the_truth_of_a_model_worked_out_by_hand(method):
    found = relevancy_map(UniformBackbone(), colour_sae(), picture(RED), "block_01", 0, method=method)
    np.testing.assert_allclose(found.values, TRUTH[method], rtol=1e-5, atol=1e-7)
    assert found.target_value == pytest.approx(SHARE.sum().item())


@pytest.fixture(scope="module")
def pixels():
    return random_pixels()


@pytest.fixture(scope="module")
def sae():
    return random_sae()


def by_hand(model, pixels, rule):
    """The blocks of a Dinov2Model in plain operations; `rule` says what passes the gradient on, and how.

    Returns the embedding, and per block (tokens after it, attention, values, attention's write).
    """
    x = model.embeddings(pixels).detach().requires_grad_()
    embedding, blocks = x, []
    for block in model.encoder.layer:
        a = block.attention
        normal = rule["norm"](x, block.norm1)
        q, k, v = ((p(normal)).unflatten(-1, (4, 8)).transpose(1, 2) for p in (a.q_proj, a.k_proj, a.v_proj))
        q, k, v = rule["share"](q, 0.25), rule["share"](k, 0.25), rule["share"](v, 0.5)
        attention = torch.softmax(q @ k.transpose(2, 3) / 8**0.5, -1)
        mixed = (attention @ v).transpose(1, 2).flatten(2)
        write = linear(mixed, a.o_proj.weight) * block.layer_scale1.lambda1
        x = x + write + a.o_proj.bias * block.layer_scale1.lambda1
        hidden = rule["gelu"](block.mlp.fc1(rule["norm"](x, block.norm2)))
        x = x + block.mlp.fc2(hidden) * block.layer_scale2.lambda1
        blocks.append((x, attention, v, write))
    return embedding, blocks


PLAIN = {"norm": lambda x, norm: norm(x), "share": lambda x, part: x, "gelu": gelu}
LRP = {
    "norm": lambda x, norm: (
        ((x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + norm.eps).sqrt().detach())
        * norm.weight
        + norm.bias
    ),
    "share": lambda x, part: x * part + (x * (1 - part)).detach(),
    "gelu": lambda x: x * (gelu(x) / x).detach(),
}


@pytest.fixture(scope="module")
def model():
    return tiny_model().requires_grad_(False)


def found_by(method, sae, pixels, layer=LAYER, **options):
    return relevancy_map(tiny_dinov2(), sae, pixels, layer, LATENT, method=method, **options)


def assert_same(values, expected):
    expected = expected.detach().numpy().ravel()
    np.testing.assert_allclose(values.ravel(), expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_attn_lrp_is_input_x_gradient_of_the_model_with_the_rules_written_out(model, sae, pixels):
    embedding, blocks = by_hand(model, pixels, LRP)
    target = LatentTarget(sae, LATENT)(blocks[-1][0])
    (gradient,) = torch.autograd.grad(target.sum(), embedding)
    found = found_by("attn_lrp", sae, pixels)
    assert_same(found.values, (embedding * gradient)[0, 1:].sum(-1))
    assert found.target_value == pytest.approx(target.item(), rel=1e-4)
    plain = found_by("input_gradient", sae, pixels)
    assert np.corrcoef(plain.values.ravel(), found.values.ravel())[0, 1] < 0.95
    assert plain.target_value == pytest.approx(found.target_value, rel=1e-4)


@pytest.mark.parametrize("layer", ["block_01", "block_03"])
def test_direct_shares_add_up_to_the_last_attention_write(model, sae, pixels, layer):
    _, attention, v, write = by_hand(model, pixels, PLAIN)[1][int(layer[-1]) - 1]
    a = model.encoder.layer[int(layer[-1]) - 1].attention
    scale = model.encoder.layer[int(layer[-1]) - 1].layer_scale1.lambda1
    row = sae.W_enc[:, LATENT]
    each = attention[0, :, 0, :, None] * v[0]  # what the class token takes from every token, head by head
    shares = (linear(each.transpose(0, 1).flatten(1), a.o_proj.weight) * scale) @ row
    assert shares.sum().item() == pytest.approx((write[0, 0] @ row).item(), rel=1e-4)
    assert_same(found_by("direct", sae, pixels, layer).values, shares[1:])


def test_direct_needs_one_forward_pass_and_no_backward_pass_through_the_model(sae, pixels):
    trace = record_direct(tiny_dinov2(), pixels, LAYER)
    assert not trace.embedding.requires_grad
    assert [value.is_leaf for value in trace.values] == [True] * 3


def test_legrad_is_the_sum_over_blocks_each_read_in_its_own_tokens(model, sae, pixels):
    expected = torch.zeros(17)
    for x, attention, *_ in by_hand(model, pixels, PLAIN)[1]:
        score = LatentTarget(sae, LATENT)(x).sum()
        (gradient,) = torch.autograd.grad(score, attention, retain_graph=True)
        expected += torch.relu(gradient[0]).mean((0, 1))
    assert_same(found_by("legrad", sae, pixels).values, expected[1:])


def test_legrad_of_the_strongest_patch_stays_with_the_patch_that_is_strongest_at_the_layer(sae, pixels):
    where = found_by("projection", sae, pixels, token="patch").values.argmax()
    chosen = found_by("legrad", sae, pixels, token=int(where)).values
    np.testing.assert_array_equal(found_by("legrad", sae, pixels, token="patch").values, chosen)


@pytest.mark.parametrize("depth", [1, 3])
def test_grad_cam_weighs_what_enters_the_last_block_by_its_mean_gradient(model, sae, pixels, depth):
    embedding, blocks = by_hand(model, pixels, PLAIN)
    before = blocks[depth - 2][0] if depth > 1 else embedding
    (gradient,) = torch.autograd.grad(LatentTarget(sae, LATENT)(blocks[depth - 1][0]).sum(), before)
    expected = torch.relu(before[0, 1:] @ gradient[0, 1:].mean(0))
    assert_same(found_by("grad_cam", sae, pixels, f"block_{depth:02d}").values, expected)


@pytest.mark.parametrize("method", METHODS)
def test_registers_are_no_patches(sae, method):
    pixels = random_pixels()
    found = relevancy_map(tiny_dinov2(registers=4), sae, pixels, "block_02", LATENT, method=method)
    assert found.values.shape == (4, 4)
    assert np.unique(found.values).size > 1


@pytest.mark.parametrize("method", ["gradient_rollout", "attn_lrp", "legrad", "direct", "grad_cam", "input_gradient"])
def test_a_silent_encoder_row_leaves_nothing_to_explain(sae, pixels, method):
    silent = random_sae()
    with torch.no_grad():
        silent.W_enc[:, LATENT] = 0
    assert not found_by(method, silent, pixels).values.any()
    assert found_by(method, sae, pixels).values.any()


def test_two_threads_with_different_methods_get_the_maps_they_would_get_alone(sae):
    backbone = tiny_dinov2()
    jobs = [(method, random_pixels(seed)) for seed in range(4) for method in METHODS]

    def explain(job):
        return relevancy_map(backbone, sae, job[1], LAYER, LATENT, method=job[0]).values

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(explain, jobs))
    for found, job in zip(together, jobs, strict=True):
        np.testing.assert_array_equal(found, explain(job), err_msg=job[0])


def test_rules_hold_for_the_gates_of_swiglu_and_quick_gelu():
    x = torch.linspace(-3, 3, 7, requires_grad=True)
    gate = torch.linspace(1, 2, 7, requires_grad=True)

    def inside(function):
        with attn_lrp([]):
            y = function()
        return y, torch.autograd.grad(y.sum(), [x, gate], allow_unused=True)

    y, (to_x, to_gate) = inside(lambda: silu(x) * gate)
    torch.testing.assert_close(y, silu(x) * gate)
    torch.testing.assert_close(x * to_x + gate * to_gate, y)  # relevance is conserved, half to each
    torch.testing.assert_close(x * to_x, gate * to_gate)
    y, (to_x, _) = inside(lambda: x * torch.sigmoid(1.702 * x))
    torch.testing.assert_close(x * to_x, y)
    assert inside(lambda: gelu(x))[1][0][3] == 0.5
    y, (to_x, _) = inside(lambda: x * 2.0)
    torch.testing.assert_close(to_x, torch.full((7,), 2.0))


def test_maps_of_a_cnns_earlier_stage_are_brought_to_the_grid_of_the_layer():
    found = {
        method: relevancy_map(
            ShrinkingBackbone(), colour_sae(), picture(RED), "stage_2", 0, method=method, token="mean"
        ).values
        for method in ("grad_cam", "input_gradient", "activation", "projection")
    }
    # stage_2 averages 2 x 2 patches and the target averages the 4 results: every patch gives red / 16.
    mean = RED.unflatten(0, (2, 2)).unflatten(2, (2, 2)).mean((1, 3))
    np.testing.assert_allclose(found["input_gradient"], mean / 16, rtol=1e-5, atol=1e-7)
    positive = (RED / 16).clamp_min(0).unflatten(0, (2, 2)).unflatten(2, (2, 2)).mean((1, 3))
    np.testing.assert_allclose(found["grad_cam"], positive, rtol=1e-5)
    np.testing.assert_allclose(found["projection"], mean, rtol=1e-5)
    np.testing.assert_allclose(found["activation"], mean.clamp_min(0), rtol=1e-5)


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.attention != "none"])
def test_a_cnn_says_which_methods_work(method):
    with pytest.raises(InputError, match="grad_cam, input_gradient, activation, projection"):
        relevancy_map(PlainBackbone(), colour_sae(), random_pixels(), "stage_1", 0, method=method, token="mean")

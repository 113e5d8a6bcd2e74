from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from hsae.errors import InputError
from hsae.measures.probes import LinearProbe
from hsae.relevancy import METHODS, layer_maps, method_maps, record, relevancy_map, target_maps
from hsae.relevancy.targets import ClassTarget, LatentTarget
from tests.tiny_models import (
    PATCH,
    SIDE,
    PlainBackbone,
    colour_sae,
    random_pixels,
    random_sae,
    tiny_dinov2,
    tiny_model,
)

DEPTH = {"block_01": 1, "block_02": 2, "block_03": 3}
ON_TRANSFORMERS = [name for name in METHODS if name != "attention_rollout"]
START = {"cls": torch.eye(17)[0], 5: torch.eye(17)[6], "mean": torch.tensor([0.0] + [1 / 16] * 16)}


@pytest.fixture(scope="module")
def backbone():
    return tiny_dinov2()


@pytest.fixture(scope="module")
def sae():
    return random_sae()


@pytest.fixture(scope="module")
def pixels():
    return random_pixels()


@pytest.fixture(scope="module")
def whole_model(pixels):
    """transformers' own forward pass of all blocks, with its own attention: independent of hsae.backbones."""
    model = tiny_model().requires_grad_(False)
    model.set_attn_implementation("eager")
    embedding = model.embeddings(pixels).requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.embeddings, "forward", lambda *_, **__: embedding)
        output = model(pixels, output_attentions=True, output_hidden_states=True)
    return embedding, output.attentions, output.hidden_states


def naive_target(sae, tokens, latent, start):
    return (start @ tokens[0] - sae.b_dec) @ sae.W_enc[:, latent] + sae.b_enc[latent]


def naive_matrix(attentions, gradients):
    """Chefer's rule with the full R [tokens, tokens], without the identity it starts from."""
    n = attentions[0].shape[-1]
    relevance = torch.eye(n)
    for attention, gradient in zip(attentions, gradients, strict=True):
        relevance = relevance + torch.relu(attention[0] * gradient[0]).mean(0) @ relevance
    return relevance - torch.eye(n)


def assert_same(values, expected):
    expected = expected.detach().numpy().ravel()
    np.testing.assert_allclose(values.ravel(), expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("layer", DEPTH)
@pytest.mark.parametrize("token", START)
def test_gradient_rollout_is_the_matrix_rule_on_the_whole_model(backbone, sae, pixels, whole_model, layer, token):
    _, attentions, hidden = whole_model
    attentions = attentions[: DEPTH[layer]]
    target = naive_target(sae, hidden[DEPTH[layer]], 3, START[token])
    gradients = torch.autograd.grad(target, attentions, retain_graph=True)
    found = relevancy_map(backbone, sae, pixels, layer, 3, method="gradient_rollout", token=token)
    assert_same(found.values, (START[token] @ naive_matrix(attentions, gradients))[1:])
    assert found.target_value == pytest.approx(target.item(), rel=1e-4)
    assert found.values.max() > 0


@pytest.mark.parametrize("layer", DEPTH)
def test_input_gradient_is_that_of_the_whole_model(backbone, sae, pixels, whole_model, layer):
    embedding, _, hidden = whole_model
    target = naive_target(sae, hidden[DEPTH[layer]], 3, START["cls"])
    (gradient,) = torch.autograd.grad(target, embedding, retain_graph=True)
    found = relevancy_map(backbone, sae, pixels, layer, 3, method="input_gradient")
    assert_same(found.values, (embedding * gradient)[0, 1:].sum(-1))


def test_attention_rollout_is_the_product_of_matrices(backbone, sae, pixels, whole_model):
    product = torch.eye(17)
    for attention in whole_model[1][:2]:
        product = (attention[0].mean(0) + torch.eye(17)) / 2 @ product
    found = relevancy_map(backbone, sae, pixels, "block_02", 3, method="attention_rollout")
    assert_same(found.values, product[0, 1:])


def test_a_map_is_as_wide_as_the_image(backbone, sae):
    wide = torch.randn(3, 2 * PATCH, 5 * PATCH)
    assert relevancy_map(backbone, sae, wide, "block_01", 0).values.shape == (2, 5)


def test_activation_is_the_latent_itself_and_projection_splits_a_mean(backbone, sae, pixels):
    tokens = backbone.run_pixels(pixels, ["block_02"])["block_02"]
    active = relevancy_map(backbone, sae, pixels, "block_02", 3, method="activation", token="patch")
    assert_same(active.values, sae.encode(tokens[0, 1:])[:, 3])
    split = relevancy_map(backbone, sae, pixels, "block_02", 3, method="projection", token="mean")
    assert split.values.mean() == pytest.approx(split.target_value, rel=1e-4)
    assert split.values.min() < 0


def test_the_strongest_patch_is_the_target_of_token_patch(backbone, sae, pixels):
    where = relevancy_map(backbone, sae, pixels, "block_02", 3, method="projection", token="patch")
    strongest = int(where.values.argmax())
    found = relevancy_map(backbone, sae, pixels, "block_02", 3, method="direct", token="patch")
    np.testing.assert_array_equal(
        found.values, relevancy_map(backbone, sae, pixels, "block_02", 3, method="direct", token=strongest).values
    )
    assert found.target_value == pytest.approx(where.values.max(), rel=1e-4)


def altered(name, latent):
    """The SAE with one latent's row of one weight set to zero."""
    sae = random_sae()
    with torch.no_grad():
        (sae.W_enc.T if name == "W_enc" else getattr(sae, name))[latent] = 0
    return sae


@pytest.mark.parametrize("method", ["gradient_rollout", "input_gradient"])
@pytest.mark.parametrize("token", START)
def test_without_encoder_row_there_is_nothing_to_explain(backbone, pixels, method, token):
    found = relevancy_map(backbone, altered("W_enc", 3), pixels, "block_02", 3, method=method, token=token)
    assert not found.values.any()


@pytest.mark.parametrize("method", METHODS)
def test_the_decoder_does_not_matter(backbone, sae, pixels, method):
    expected = relevancy_map(backbone, sae, pixels, "block_02", 3, method=method)
    found = relevancy_map(backbone, altered("W_dec", 3), pixels, "block_02", 3, method=method)
    np.testing.assert_array_equal(found.values, expected.values)


@pytest.mark.parametrize("method", ON_TRANSFORMERS)
def test_the_map_depends_on_latent_and_weights(backbone, sae, pixels, method):
    one = relevancy_map(backbone, sae, pixels, "block_03", 3, method=method).values
    other = relevancy_map(backbone, sae, pixels, "block_03", 4, method=method).values
    random = relevancy_map(tiny_dinov2(seed=1), sae, pixels, "block_03", 3, method=method).values
    assert correlation(one, other) < 0.9
    assert correlation(one, random) < 0.9


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_attention_rollout_is_the_control_that_ignores_the_latent(backbone, sae, pixels):
    one, other = (relevancy_map(backbone, sae, pixels, "block_03", j, method="attention_rollout") for j in (3, 4))
    np.testing.assert_array_equal(one.values, other.values)
    assert one.target_value != other.target_value


@pytest.mark.parametrize("method", METHODS)
def test_latents_of_one_image_share_a_forward_pass(sae, pixels, method, monkeypatch):
    backbone, passes = tiny_dinov2(), []
    embed = backbone.embed
    monkeypatch.setattr(backbone, "embed", lambda pixels: passes.append(1) or embed(pixels))
    targets = [LatentTarget(sae, latent) for latent in (3, 7, 3)]
    together = target_maps(backbone, pixels, "block_02", targets, method=method)
    assert len(passes) == 1
    alone = [relevancy_map(backbone, sae, pixels, "block_02", latent, method=method) for latent in (3, 7, 3)]
    for one, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one.values, expected.values)


def test_methods_share_the_passes_they_read_and_give_what_they_give_alone(sae, pixels, monkeypatch):
    backbone, passes = tiny_dinov2(), []
    targets = [LatentTarget(sae, latent) for latent in (3, 7)]
    alone = {name: target_maps(backbone, pixels, "block_02", targets, method=name) for name in METHODS}
    embed = backbone.embed
    monkeypatch.setattr(backbone, "embed", lambda pixels: passes.append(1) or embed(pixels))
    together = method_maps(backbone, pixels, "block_02", targets, METHODS)
    assert len(passes) == 3  # the plain one, AttnLRP's and the direct one
    for name, maps in together.items():
        for found, expected in zip(maps, alone[name], strict=True):
            np.testing.assert_array_equal(found.values, expected.values)


def test_only_blocks_up_to_the_layer_run(backbone, pixels):
    trace = record(backbone, pixels, "block_02")
    assert list(trace.activations) == ["block_01", "block_02"]
    assert len(trace.attentions) == 2


@pytest.mark.parametrize("method", METHODS)
def test_two_threads_get_the_maps_they_would_get_alone(backbone, sae, method):
    images = [random_pixels(seed) for seed in range(8)]

    def explain(image):
        return relevancy_map(backbone, sae, image, "block_03", 3, method=method).values

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(explain, images))
    for found, image in zip(together, images, strict=True):
        np.testing.assert_array_equal(found, explain(image))


def test_nothing_of_the_model_changes(backbone, sae, pixels):
    before = backbone.run_pixels(pixels)["block_03"]
    with torch.inference_mode():
        inside = relevancy_map(backbone, sae, pixels.clone(), "block_03", 3)
    np.testing.assert_array_equal(inside.values, relevancy_map(backbone, sae, pixels, "block_03", 3).values)
    assert torch.equal(backbone.run_pixels(pixels)["block_03"], before)
    assert all(p.grad is None and not p.requires_grad for p in backbone.model.parameters())
    assert all(p.grad is None for p in sae.parameters())


def test_pictures_and_pixels_give_the_same_map(backbone, sae):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8))
    from_image = relevancy_map(backbone, sae, image, "block_02", 3)
    from_pixels = relevancy_map(backbone, sae, backbone.pixels([image])[0], "block_02", 3)
    np.testing.assert_array_equal(from_image.values, from_pixels.values)


def test_classes_can_be_explained_too(backbone, sae, pixels):
    # A probe that reads the latent's encoder row explains exactly what the latent does.
    probe = LinearProbe(sae.W_enc.detach()[:, 3:4], torch.zeros(1), torch.zeros(32), torch.ones(32))
    (by_class,) = target_maps(backbone, pixels, "block_02", [ClassTarget(probe, 0)])
    assert_same(by_class.values, torch.from_numpy(relevancy_map(backbone, sae, pixels, "block_02", 3).values))
    with pytest.raises(InputError, match="projection"):
        target_maps(backbone, pixels, "block_02", [ClassTarget(probe, 0)], method="activation")


@pytest.mark.parametrize("method", ["activation", "projection"])
def test_backbones_without_attention_have_maps_of_the_latent(method):
    pixels = random_pixels()
    found = relevancy_map(PlainBackbone(), colour_sae(), pixels, "stage_1", 0, method=method, token="mean")
    red = pixels[0, 0].unflatten(0, (4, PATCH)).unflatten(2, (4, PATCH)).mean((1, 3))
    assert_same(found.values, red.clamp_min(0) if method == "activation" else red)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "magic"}, "gradient_rollout"),
        ({"layer": "block_99"}, "block_01"),
        ({"latent": 24}, "0 to 23"),
        ({"token": 16}, "0 to 15"),
        ({"image": torch.zeros(2, 3, SIDE, SIDE)}, "one image"),
        ({"image": torch.zeros(SIDE, SIDE)}, "one image"),
    ],
)
def test_what_cannot_be_explained_is_refused(backbone, sae, pixels, change, message):
    asked = {"image": pixels, "layer": "block_02", "latent": 3} | change
    with pytest.raises(InputError, match=message):
        relevancy_map(backbone, sae, **asked)


def test_maps_of_several_layers_share_one_pass(backbone, pixels):
    targets = {name: LatentTarget(random_sae(seed), 3) for seed, name in enumerate(DEPTH)}
    for method in ("attn_lrp", "gradient_rollout", "grad_cam"):
        together = layer_maps(backbone, pixels, targets, method=method)
        assert list(together) == list(DEPTH)
        for name, target in targets.items():
            (alone,) = target_maps(backbone, pixels, name, [target], method=method)
            np.testing.assert_allclose(together[name].values, alone.values, rtol=1e-4, atol=1e-7)
            assert together[name].layer == name
            assert together[name].target_value == pytest.approx(alone.target_value)

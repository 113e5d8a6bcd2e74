from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.errors import InputError
from hsae.steering.deltas import edit_delta
from hsae.steering.editor import run_with_edits
from hsae.steering.edits import Edit, Op
from tests.tiny_models import PlainBackbone, colour_sae, random_pixels, random_sae, tiny_dinov2

D_SAE = 24
REFS = np.linspace(0.5, 2.0, D_SAE)


@pytest.fixture(scope="module")
def backbone():
    return tiny_dinov2()


@pytest.fixture(scope="module")
def saes():
    return {"block_01": random_sae(1), "block_02": random_sae(2, activation="topk")}


@pytest.fixture(scope="module")
def cached(backbone):
    return backbone.run_pixels(random_pixels())


def op(latent=7, mode="add", amount=1.0):
    return {"latent": latent, "mode": mode, "amount": amount}


def run(backbone, saes, start, *edits, layers=("block_02", "block_03")):
    return run_with_edits(backbone, edits, saes, dict.fromkeys(saes, REFS), start, layers)


@pytest.mark.parametrize("scope", ["cls", "patches", "all", [0, 5]])
@pytest.mark.parametrize("mode", ["add", "scale"])
def test_a_neutral_edit_is_bit_exact(backbone, saes, cached, scope, mode):
    found = run(
        backbone, saes, cached, Edit("block_01", [op(mode=mode, amount=0)], scope), layers=["block_01", "block_03"]
    )
    assert torch.equal(found.activations["block_01"], cached["block_01"])
    assert torch.equal(found.activations["block_03"], cached["block_03"])
    assert found.delta_norm_ratios == (0.0,)
    assert found.changes == ((),)


@torch.no_grad()
def test_setting_a_latent_to_its_value_changes_nothing(backbone, saes, cached):
    # A ref of 1 makes the amount the value itself.
    value = saes["block_01"].encode(cached["block_01"][0, 0])[7].item()
    edit = Edit("block_01", [op(mode="set", amount=value)])
    found = run_with_edits(backbone, [edit], saes, {"block_01": np.ones(D_SAE)}, cached, ["block_01"])
    torch.testing.assert_close(found.activations["block_01"], cached["block_01"])


def test_adding_is_linear_until_the_latent_reaches_zero(backbone, saes, cached):
    amounts = [1.0, 2.0, 4.0, -100.0]
    found = run(backbone, saes, cached, *(Edit("block_01", [op(amount=a)]) for a in amounts), layers=["block_01"])
    delta = found.deltas["block_01"][:, 0]
    torch.testing.assert_close(delta[1], 2 * delta[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(delta[2], 4 * delta[0], rtol=1e-4, atol=1e-5)
    (change,) = found.changes[3]
    assert change.after == 0
    torch.testing.assert_close(delta[3], -change.before * saes["block_01"].W_dec[7].detach(), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_setting_is_adding_the_difference(backbone, saes, cached):
    z = saes["block_01"].encode(cached["block_01"][0, 0])[7].item()
    edits = [Edit("block_01", [op(mode="set", amount=5)]), Edit("block_01", [op(amount=5 - z / REFS[7])])]
    found = run(backbone, saes, cached, *edits)
    torch.testing.assert_close(found.activations["block_03"][0], found.activations["block_03"][1], rtol=1e-4, atol=1e-4)


def test_off_is_scaling_by_minus_one_and_setting_to_zero(backbone, saes, cached):
    changes = [op(mode="off", amount=0), op(mode="scale", amount=-1), op(mode="set", amount=0)]
    found = run(backbone, saes, cached, *(Edit("block_01", [change], "all") for change in changes), layers=["block_01"])
    assert found.deltas["block_01"][0].any()
    assert torch.equal(found.deltas["block_01"][0], found.deltas["block_01"][1])
    assert torch.equal(found.deltas["block_01"][0], found.deltas["block_01"][2])


@pytest.mark.parametrize(
    ("scope", "touched"), [("cls", [0]), ([0, 15], [1, 16]), ("patches", range(1, 17)), ("all", range(17))]
)
def test_only_tokens_in_scope_are_touched(backbone, saes, cached, scope, touched):
    found = run(backbone, saes, cached, Edit("block_01", [op(amount=3)], scope), layers=["block_01"])
    same = (found.activations["block_01"] == cached["block_01"]).all(-1)[0]
    assert [token for token in range(17) if not same[token]] == list(touched)


def test_registers_are_neither_class_token_nor_patches(saes):
    backbone = tiny_dinov2(registers=4)
    edits = [Edit("block_01", [op(amount=3)], scope) for scope in ("cls", "patches", [0])]
    found = run(backbone, saes, random_pixels(), *edits, layers=["block_01"])
    touched = found.deltas["block_01"].ne(0).any(-1)
    assert [row.nonzero().flatten().tolist() for row in touched] == [[0], list(range(5, 21)), [5]]


def test_edits_of_different_tokens_commute(backbone, saes, cached):
    one, other = Edit("block_02", [op(7)], [2]), Edit("block_02", [op(9)], "cls")
    found = run(backbone, saes, cached, one.then(other), other.then(one))
    assert torch.equal(*found.deltas["block_02"])
    torch.testing.assert_close(*found.activations["block_03"])  # rows of one batch may be rounded differently


def test_edits_of_several_layers_run_in_the_models_order(backbone, saes, cached):
    low, high = Edit("block_01", [op(3)], "all"), Edit("block_02", [op(5, "set")], "cls")
    with torch.no_grad():
        x = cached["block_01"]
        x = x + edit_delta(x, [Op(3, "add", 1)], saes["block_01"], REFS)[0]
        x = backbone.run_from("block_01", x, ["block_02"])["block_02"]
        x[:, :1] += edit_delta(x[:, :1], [Op(5, "set", 1)], saes["block_02"], REFS)[0]
        patched = backbone.run_from("block_02", x, ["block_03"])
    for edit in (low.then(high), high.then(low)):
        torch.testing.assert_close(run(backbone, saes, cached, edit).activations["block_03"], patched["block_03"])


def test_several_edits_in_one_batch_are_what_they_are_alone(backbone, saes, cached):
    edits = [Edit("block_01", [op(3)]), Edit("block_02", [op(5, "off", 0)], "all"), Edit("block_01", [op(4)], [1])]
    together = run(backbone, saes, cached, *edits)
    for row, edit in enumerate(edits):
        alone = run(backbone, saes, cached, edit)
        torch.testing.assert_close(
            together.activations["block_03"][row], alone.activations["block_03"][0], rtol=1e-4, atol=1e-4
        )
        assert together.delta_norm_ratios[row] == pytest.approx(alone.delta_norm_ratios[0], rel=1e-4)
        assert [c.latent for c in together.changes[row]] == [c.latent for c in alone.changes[0]]


def test_cached_activations_save_the_layers_before(saes, cached, monkeypatch):
    backbone = tiny_dinov2()
    edit = Edit("block_02", [op()])
    from_pixels = run(backbone, saes, random_pixels(), edit)
    monkeypatch.setattr(backbone, "embed", lambda pixels: pytest.fail("the image was run again"))
    from_cache = run(backbone, saes, cached, edit)
    assert torch.equal(from_pixels.activations["block_03"], from_cache.activations["block_03"])


def test_the_norm_ratio_is_over_the_touched_tokens(backbone, saes, cached):
    found = run(backbone, saes, cached, Edit("block_01", [op(amount=2)], [3, 4]), layers=["block_01"])
    delta, x = found.deltas["block_01"][0, 4:6], cached["block_01"][0, 4:6]
    assert found.delta_norm_ratios[0] == pytest.approx((delta.norm() / x.norm()).item(), rel=1e-4)


def test_the_cache_is_left_alone_and_serves_inference_mode(backbone, saes):
    with torch.inference_mode():
        start = backbone.run_pixels(random_pixels())
        kept = {layer: x.clone() for layer, x in start.items()}
    run(backbone, saes, start, Edit("block_01", [op(amount=9)], "all"))
    assert all(torch.equal(start[layer], kept[layer]) for layer in start)


def test_maps_without_class_token_can_be_edited():
    backbone, pixels = PlainBackbone(), random_pixels()
    before = backbone.run_pixels(pixels)["stage_1"]
    refs = {"stage_1": np.ones(3)}
    edit = Edit("stage_1", [op(1, "add", 2)], [5])
    found = run_with_edits(backbone, [edit], {"stage_1": colour_sae()}, refs, pixels, ["stage_1"])
    assert (found.activations["stage_1"] - before)[0, 5].tolist() == pytest.approx([0, 2, 0])
    with pytest.raises(InputError, match="class token"):
        run_with_edits(backbone, [Edit("stage_1", [op(1)])], {"stage_1": colour_sae()}, refs, pixels, ["stage_1"])


@pytest.mark.parametrize(
    ("edit", "layers", "message"),
    [
        (Edit("block_99", [op()]), ["block_03"], "block_01"),
        (Edit("block_03", [op()]), ["block_03"], "block_01, block_02"),
        (Edit("block_02", [op(24)]), ["block_03"], "0 to 23"),
        (Edit("block_02", [op()], [16]), ["block_03"], "0 to 15"),
        (Edit("block_02", [op()]), ["block_01"], "come after"),
    ],
)
def test_edits_that_do_not_fit_the_model_are_refused(backbone, saes, cached, edit, layers, message):
    with pytest.raises(InputError, match=message):
        run(backbone, saes, cached, edit, layers=layers)


@pytest.mark.parametrize("ref", [float("nan"), 0.0])
def test_latents_that_never_fired_have_no_unit(backbone, saes, cached, ref):
    refs = {"block_01": np.where(np.arange(D_SAE) == 7, ref, 1.0)}
    for mode in ("add", "set"):
        with pytest.raises(InputError, match="never fired"):
            run_with_edits(backbone, [Edit("block_01", [op(7, mode)])], saes, refs, cached, ["block_01"])
    run_with_edits(backbone, [Edit("block_01", [op(7, "off", 0), op(8)])], saes, refs, cached, ["block_01"])


def test_what_is_missing_or_misshapen_is_named(backbone, saes, cached):
    edit = Edit("block_02", [op()])
    with pytest.raises(InputError, match="block_02, the lowest"):
        run(backbone, saes, {"block_03": cached["block_03"]}, edit)
    with pytest.raises(InputError, match="one image"):
        run(backbone, saes, {"block_02": cached["block_02"].repeat(2, 1, 1)}, edit)
    with pytest.raises(InputError, match="one per latent"):
        run_with_edits(backbone, [edit], saes, {"block_02": np.ones(3)}, cached, ["block_03"])
    with pytest.raises(InputError, match="at least one"):
        run(backbone, saes, cached)

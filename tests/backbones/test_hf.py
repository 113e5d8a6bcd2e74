"""Layers, tokens and attention of our backbone are those of transformers' own forward pass."""

from threading import Barrier, Thread

import pytest
import torch
from PIL import Image

from hsae.backbones.base import Preprocessing
from hsae.backbones.hf import HFBackbone
from hsae.backbones.hooks import capture_attention
from hsae.errors import InputError
from tests.tiny_models import SIDE, random_pixels, tiny_dinov2, tiny_model

BOTH = pytest.mark.parametrize("registers", [0, 3])
BLOCKS = ["block_01", "block_02", "block_03"]


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Within float32 rounding of numbers as large as these."""
    return a.shape == b.shape and bool((a - b).abs().max() < 1e-5 * b.abs().max().clamp_min(1))


def counted(backbone: HFBackbone) -> list[int]:
    """Numbers of the blocks that run from now on."""
    calls: list[int] = []
    for number, block in enumerate(backbone.model.encoder.layer, start=1):
        block.register_forward_hook(lambda *_, number=number: calls.append(number))
    return calls


@BOTH
def test_every_block_equals_the_hidden_states_of_transformers(registers):
    pixels = random_pixels(batch=2)
    with torch.no_grad():
        theirs = tiny_model(registers=registers)(pixels, output_hidden_states=True).hidden_states
        ours = tiny_dinov2(registers=registers).run_pixels(pixels)
    assert list(ours) == BLOCKS
    for number, name in enumerate(BLOCKS, start=1):
        assert close(ours[name], theirs[number])
        assert not close(ours[name], theirs[number - 1])


@BOTH
def test_layer_specs(registers):
    layers = tiny_dinov2(registers=registers).layers
    assert [(spec.name, spec.d_in, spec.n_prefix) for spec in layers.values()] == [
        (n, 32, 1 + registers) for n in BLOCKS
    ]


@pytest.mark.parametrize(
    ("layers", "blocks"),
    [("all", [1, 2, 3]), (["block_03", "block_01"], [1, 2, 3]), (["block_02"], [1, 2]), ("block_01", [1])],
)
def test_one_forward_pass_that_ends_at_the_deepest_layer(layers, blocks):
    backbone, image = tiny_dinov2(), Image.new("RGB", (70, 60), "teal")
    everything = backbone.run([image])
    calls = counted(backbone)
    found = backbone.run([image], layers)
    assert calls == blocks
    assert list(found) == list(backbone.layer_names(layers))
    assert all(torch.equal(found[name], everything[name]) for name in found)


def test_what_run_returns_can_be_trained_on():
    x = tiny_dinov2().run([Image.new("RGB", (60, 60))], ["block_02"])["block_02"]
    weight = torch.ones(32, requires_grad=True)
    (x * weight).sum().backward()
    assert not x.requires_grad
    torch.testing.assert_close(weight.grad, x.sum((0, 1)))


def test_run_pixels_keeps_gradients_and_the_weights_are_frozen():
    backbone, pixels = tiny_dinov2(), random_pixels().requires_grad_()
    backbone.run_pixels(pixels, ["block_02"])["block_02"].sum().backward()
    assert pixels.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in backbone.model.parameters())


@BOTH
@pytest.mark.parametrize("start", BLOCKS[:2])
def test_run_from_goes_on_to_the_same_result(registers, start):
    backbone, pixels = tiny_dinov2(registers=registers), random_pixels()
    whole = backbone.run_pixels(pixels)
    calls = counted(backbone)
    rest = backbone.run_from(start, whole[start], BLOCKS[BLOCKS.index(start) + 1 :])
    assert 1 not in calls
    assert all(torch.equal(rest[name], whole[name]) for name in rest)
    edited = backbone.run_from(start, whole[start] + 1, ["block_03"])
    assert not close(edited["block_03"], whole["block_03"])


def test_run_from_only_goes_forward():
    backbone = tiny_dinov2()
    tokens = backbone.run_pixels(random_pixels())["block_02"]
    for layers in (["block_01"], ["block_02"], ["block_01", "block_03"]):
        with pytest.raises(InputError, match=r"do not come after block_02.*block_03"):
            backbone.run_from("block_02", tokens, layers)


@BOTH
def test_select_token(registers):
    backbone = tiny_dinov2(registers=registers)
    n_prefix = 1 + registers
    x = torch.randn(2, n_prefix + 16, 32)
    assert torch.equal(backbone.select_token(x, "block_01", "cls"), x[:, :1])
    assert torch.equal(backbone.select_token(x, "block_01", "patch"), x[:, n_prefix:])
    torch.testing.assert_close(backbone.select_token(x, "block_01", "mean")[:, 0], x[:, n_prefix:].sum(1) / 16)


def test_unknown_names_list_the_known_ones():
    backbone = tiny_dinov2()
    x = torch.zeros(1, 17, 32)
    with pytest.raises(InputError, match=r"block_99.*block_01, block_02, block_03"):
        backbone.layer_names(["block_01", "block_99"])
    with pytest.raises(InputError, match="block_01"):
        backbone.layer_names([])
    with pytest.raises(InputError, match=r"block_0x.*block_01"):
        backbone.select_token(x, "block_0x", "cls")
    with pytest.raises(InputError, match=r"'class'.*cls, patch or mean"):
        backbone.select_token(x, "block_01", "class")


def test_grid_and_too_small_images():
    backbone = tiny_dinov2()
    assert backbone.grid("block_01", SIDE, 2 * SIDE) == (4, 8)
    with pytest.raises(InputError, match="14 pixels"):
        HFBackbone("tiny", tiny_model(), Preprocessing(image_size=13))


@BOTH
def test_captured_attention_equals_the_eager_attention_of_transformers(registers):
    backbone, model, pixels = tiny_dinov2(registers=registers), tiny_model(registers=registers), random_pixels(batch=2)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        theirs = model(pixels, output_attentions=True).attentions
        fused = backbone.run_pixels(pixels)
        with capture_attention() as maps:
            captured = backbone.run_pixels(pixels)
    assert len(maps) == len(theirs) == 3
    assert all(close(ours, other) for ours, other in zip(maps, theirs, strict=True))
    assert not close(maps[0], maps[1])
    assert all(close(captured[name], fused[name]) for name in BLOCKS)


def test_nothing_is_captured_outside_or_after_an_error():
    backbone = tiny_dinov2()
    with capture_attention() as maps:
        pass
    backbone.run_pixels(random_pixels())
    assert maps == []
    with pytest.raises(RuntimeError, match="stop"), capture_attention() as maps:
        raise RuntimeError("stop")
    backbone.run_pixels(random_pixels())
    assert maps == []


def test_captured_attention_is_part_of_the_graph():
    pixels = random_pixels().requires_grad_()
    with capture_attention() as maps:
        found = tiny_dinov2().run_pixels(pixels, ["block_02"])
    gradients = torch.autograd.grad(found["block_02"][0, 0].sum(), maps)
    assert [gradient.shape for gradient in gradients] == [(1, 4, 17, 17)] * 2
    assert gradients[0].abs().sum() > 0


def test_threads_do_not_see_each_others_attention():
    backbone = tiny_dinov2()
    middle = Barrier(3)

    def wait(*_) -> None:
        middle.wait(timeout=300)

    backbone.model.encoder.layer[1].register_forward_pre_hook(wait)
    seen: dict[int, list[torch.Tensor]] = {}

    def capture(batch: int) -> None:
        with capture_attention() as maps:
            backbone.run_pixels(random_pixels(batch=batch))
        seen[batch] = maps

    threads = [Thread(target=capture, args=(batch,)) for batch in (1, 2)]
    threads.append(Thread(target=backbone.run_pixels, args=(random_pixels(batch=3),)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {batch: [len(each) for each in maps] for batch, maps in seen.items()} == {1: [1] * 3, 2: [2] * 3}


def test_the_fingerprint_is_of_the_weights_alone():
    reference = tiny_dinov2().fingerprint
    assert tiny_dinov2().fingerprint == reference
    changed = tiny_dinov2()
    with torch.no_grad():
        changed.model.encoder.layer[2].mlp.fc2.bias[5] += 1e-6
    assert changed.fingerprint != reference
    half = tiny_dinov2()
    half.cast(torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert half.fingerprint == reference
    assert half.run([Image.new("RGB", (60, 60))])["block_03"].dtype == torch.bfloat16

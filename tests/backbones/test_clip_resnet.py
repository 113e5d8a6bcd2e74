"""CLIP's ResNet equals one written out with functions and torch's own multi-head attention, at every layer."""

import pytest
import torch
from torch.nn import functional

from hsae.backbones.clip_resnet import CLIPResNetBackbone, shape_of
from hsae.errors import InputError
from tests.backbones.odd_models import RESNET_SHAPE, RESNET_SIDE, noise, tiny_clip_resnet
from tests.backbones.test_hf import close

NAMES = ["stem", "layer1", "layer2", "layer3", "layer4", "attnpool"]


def norm(w, name, x):
    """Batch norm at inference, by its formula."""
    mean, var, scale, shift = (
        w[f"{name}.{key}"].view(1, -1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def halved(x):
    """Means over 2 x 2 places."""
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def block(w, name, x, stride):
    y = functional.relu(norm(w, f"{name}.bn1", torch.einsum("oi,bihw->bohw", w[f"{name}.conv1.weight"][..., 0, 0], x)))
    y = functional.relu(norm(w, f"{name}.bn2", functional.conv2d(y, w[f"{name}.conv2.weight"], padding=1)))
    if stride == 2:
        x, y = halved(x), halved(y)
    y = norm(w, f"{name}.bn3", torch.einsum("oi,bihw->bohw", w[f"{name}.conv3.weight"][..., 0, 0], y))
    if f"{name}.downsample.0.weight" in w:
        x = torch.einsum("oi,bihw->bohw", w[f"{name}.downsample.0.weight"][..., 0, 0], x)
        x = norm(w, f"{name}.downsample.1", x)
    return functional.relu(x + y)


def pooled(w, x):
    """The last map and its mean through multi-head attention, all places as queries; read at the mean."""
    places = x.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([places.mean(0, keepdim=True), places]) + w["attnpool.positional_embedding"][:, None]
    width = tokens.shape[-1]
    mixed, _ = functional.multi_head_attention_forward(
        tokens,
        tokens,
        tokens,
        embed_dim_to_check=width,
        num_heads=width // 64,
        in_proj_weight=None,
        in_proj_bias=torch.cat([w[f"attnpool.{part}_proj.bias"] for part in "qkv"]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=w["attnpool.c_proj.weight"],
        out_proj_bias=w["attnpool.c_proj.bias"],
        training=False,
        use_separate_proj_weight=True,
        q_proj_weight=w["attnpool.q_proj.weight"],
        k_proj_weight=w["attnpool.k_proj.weight"],
        v_proj_weight=w["attnpool.v_proj.weight"],
    )
    return mixed[0][..., None, None]


def reference(w, pixels, depths=RESNET_SHAPE.depths):
    """Maps at all layers."""
    x = pixels
    for number, stride in ((1, 2), (2, 1), (3, 1)):
        x = functional.conv2d(x, w[f"conv{number}.weight"], stride=stride, padding=1)
        x = functional.relu(norm(w, f"bn{number}", x))
    maps = {"stem": halved(x)}
    x = maps["stem"]
    for layer, depth in enumerate(depths, start=1):
        for number in range(depth):
            x = block(w, f"layer{layer}.{number}", x, stride=2 if layer > 1 and number == 0 else 1)
        maps[f"layer{layer}"] = x
    return maps | {"attnpool": pooled(w, x)}


def test_every_layer_equals_the_reference():
    backbone, pixels = tiny_clip_resnet(), noise(RESNET_SIDE, batch=2)
    theirs = reference(backbone.model.state_dict(), pixels)
    with torch.no_grad():
        ours = backbone.run_pixels(pixels)
        assert close(backbone.model(pixels), theirs["attnpool"])
    assert list(ours) == list(theirs) == NAMES
    for name in NAMES:
        batch, width, rows, columns = theirs[name].shape
        assert close(ours[name], theirs[name].permute(0, 2, 3, 1).reshape(batch, rows * columns, width))
        assert theirs[name].std() > 1e-2
        assert backbone.layers[name].d_in == width
        assert backbone.grid(name, RESNET_SIDE, RESNET_SIDE) == (rows, columns)
        assert backbone.layers[name].n_prefix == 0


def test_the_pooled_token_is_one_for_the_whole_image():
    backbone, pixels = tiny_clip_resnet(), noise(RESNET_SIDE)
    pooled_token = backbone.run_pixels(pixels, ["attnpool"])["attnpool"]
    assert pooled_token.shape == (1, 1, RESNET_SHAPE.d_out)
    assert torch.equal(backbone.select_token(pooled_token, "attnpool", "mean"), pooled_token)
    assert backbone.token_map("attnpool", pixels).unique().tolist() == [0]


def test_every_pixel_belongs_to_the_nearest_place_of_the_map():
    backbone, pixels = tiny_clip_resnet(), noise(RESNET_SIDE)
    found = backbone.token_map("layer2", pixels)
    assert found.unique().tolist() == list(range(64))
    assert (found[0, 0], found[7, 7], found[8, 7], found[63, 63]) == (0, 0, 8, 63)


@pytest.mark.parametrize("start", NAMES[:-1])
def test_run_from_goes_on_to_the_same_result(start):
    backbone, pixels = tiny_clip_resnet(), noise(RESNET_SIDE, batch=2)
    later = NAMES[NAMES.index(start) + 1 :]
    with torch.no_grad():
        whole = backbone.run_pixels(pixels)
        rest = backbone.run_from(start, whole[start], later)
        edited = backbone.run_from(start, whole[start] + 1, ["attnpool"])
    assert all(close(rest[name], whole[name]) for name in later)
    assert not close(edited["attnpool"], whole["attnpool"])


def test_the_shape_is_read_off_the_tensors():
    assert shape_of(tiny_clip_resnet().model.state_dict()) == RESNET_SHAPE


def test_only_square_images_of_the_size_it_pools():
    backbone = tiny_clip_resnet()
    with pytest.raises(InputError, match=r"image_size 224 for tiny.*64, the only size"):
        CLIPResNetBackbone("tiny", backbone.model, 224)
    with pytest.raises(InputError, match="square"):
        backbone.run_pixels(torch.zeros(1, 3, 64, 96))


def test_the_published_resnet50_has_38_million_weights():
    from hsae.backbones.clip_resnet import CLIPResNet, CLIPResNetShape

    with torch.device("meta"):
        model = CLIPResNet(CLIPResNetShape(64, (3, 4, 6, 3), 7, 1024))
    backbone = CLIPResNetBackbone("meta", model, 224)
    assert [spec.d_in for spec in backbone.layers.values()] == [64, 256, 512, 1024, 2048, 1024]
    assert [backbone.grid(name, 224, 224)[0] for name in NAMES] == [56, 56, 28, 14, 7, 1]
    # attention pooling: 50 positions and four projections; the rest is torchvision's ResNet-50 but for the stem.
    assert sum(p.numel() for p in model.attnpool.parameters()) == 50 * 2048 + 3 * (2048**2 + 2048) + 1024 * 2049
    assert sum(p.numel() for p in model.parameters()) == 38_316_896


def test_other_weights_give_other_activations():
    pixels = noise(RESNET_SIDE)
    found = [backbone.run_pixels(pixels)["attnpool"] for backbone in (tiny_clip_resnet(0), tiny_clip_resnet(1))]
    assert not close(*found)

"""Image and text towers against one written out with plain operations; RE-CLIP's image side is that of its CLIP."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn.functional import embedding, gelu, layer_norm, linear

from hsae.backbones.hf_text import load_image_and_text
from hsae.backbones.registry import load_backbone
from hsae.errors import BackboneError
from tests.backbones.tiny_families import tiny_family
from tests.backbones.tiny_towers import BLOCKS, END, HEADS, LENGTH, START, WIDTH, saved_towers, tiny_towers, vocabulary
from tests.tiny_models import SIDE

TEXTS = ["a dog", "an animal", "", "a very long name of a thing that has no end at all and goes on"]


@pytest.fixture(scope="module", params=["clip", "siglip"])
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory, family):
    return saved_towers(tmp_path_factory.mktemp(family), family)


@pytest.fixture(scope="module")
def loaded(folder):
    return load_image_and_text(str(folder))


def ids_by_hand(text: str) -> list[int]:
    """Letters of every word, the last one with its mark, between start and end; cut to the length."""
    table = vocabulary()
    pieces = [piece for word in text.split() for piece in (*word[:-1], f"{word[-1]}</w>")][: LENGTH - 2]
    return [table[START], *(table[piece] for piece in pieces), table[END]]


def text_by_hand(weights: dict[str, torch.Tensor], text: str, family: str) -> torch.Tensor:
    """One text through the text tower, one operation after the other."""
    ids = ids_by_hand(text)
    if family == "siglip":
        ids += [vocabulary()[END]] * (LENGTH - len(ids))
    w = {name.removeprefix("text_model."): x for name, x in weights.items()}
    x = embedding(torch.tensor(ids), w["embeddings.token_embedding.weight"])
    x = x + w["embeddings.position_embedding.weight"][: len(ids)]

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        epsilon = 1e-6 if family == "siglip" else 1e-5
        return layer_norm(x, (WIDTH,), w[f"{name}.weight"], w[f"{name}.bias"], epsilon)

    def project(name: str, x: torch.Tensor) -> torch.Tensor:
        return linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    for number in range(BLOCKS):
        block = f"encoder.layers.{number}"
        normal = norm(f"{block}.layer_norm1", x)
        heads = []
        for head in torch.arange(WIDTH).chunk(HEADS):
            q, k, v = (project(f"{block}.self_attn.{part}_proj", normal)[:, head] for part in "qkv")
            scores = q @ k.T / len(head) ** 0.5
            if family == "clip":
                scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
            heads.append(scores.softmax(-1) @ v)
        x = x + project(f"{block}.self_attn.out_proj", torch.cat(heads, -1))
        hidden = project(f"{block}.mlp.fc1", norm(f"{block}.layer_norm2", x))
        hidden = hidden * torch.sigmoid(1.702 * hidden) if family == "clip" else gelu(hidden, approximate="tanh")
        x = x + project(f"{block}.mlp.fc2", hidden)
    x = norm("final_layer_norm", x)
    if family == "siglip":
        return project("head", x[-1])
    return x[ids.index(vocabulary()[END])] @ weights["text_projection.weight"].T


def test_texts_equal_the_tower_written_out(folder, loaded, family):
    weights = load_file(folder / "model.safetensors")
    ours = loaded.texts(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1)
    for text, row in zip(TEXTS, ours, strict=True):
        theirs = text_by_hand(weights, text, family)
        np.testing.assert_allclose(row, (theirs / theirs.norm()).numpy(), atol=1e-5)
    assert np.abs(ours[0] - ours[1]).max() > 1e-2


def test_a_text_is_the_same_beside_longer_ones(loaded):
    np.testing.assert_allclose(loaded.texts(TEXTS)[:1], loaded.texts(TEXTS[:1]), atol=1e-6)


def test_images_go_through_the_tower_that_saes_are_trained_on(folder, loaded, family):
    images = [Image.radial_gradient("L"), Image.linear_gradient("L")]
    backbone = load_backbone(folder, image_size=SIDE)
    last = backbone.run(images, ["block_03"])["block_03"]
    tower = loaded.model.vision_model
    with torch.no_grad():
        tokens = tower.post_layernorm(last)
        x = loaded.model.visual_projection(tokens[:, 0]) if family == "clip" else tower.head(tokens)
    np.testing.assert_allclose(loaded.images(iter(images)), (x / x.norm(dim=1, keepdim=True)).numpy(), atol=1e-5)


def test_tuning_the_texts_leaves_the_image_side_as_it_was(tmp_path, folder, loaded, family):
    """RE-CLIP trains the text tower alone: the same images, other texts."""
    tuned = tiny_towers(family)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if name.startswith("text_"):
                parameter.add_(torch.randn_like(parameter) * 0.1)
    other = load_image_and_text(str(saved_towers(tmp_path / "tuned", family, model=tuned)))
    images = [Image.radial_gradient("L")]
    assert other.image_fingerprint == loaded.image_fingerprint
    assert (other.images(images) == loaded.images(images)).all()
    assert np.abs(other.texts(TEXTS) - loaded.texts(TEXTS)).max() > 1e-2
    elsewhere = load_image_and_text(str(saved_towers(tmp_path / "other", family, seed=1)))
    assert elsewhere.image_fingerprint != loaded.image_fingerprint


@pytest.mark.parametrize("name", ["dinov2-small-focus", "clip-resnet50", "no-such-model"])
def test_backbones_without_text_say_what_has_one(name):
    with pytest.raises(BackboneError, match=f"{name}, of which no text tower.*openai/clip-vit-base-patch32"):
        load_image_and_text(name)


def test_folders_without_text_say_so(tmp_path):
    tiny_family("dinov2").save_pretrained(tmp_path / "dinov2")
    with pytest.raises(BackboneError, match="type 'dinov2', without a text tower"):
        load_image_and_text(str(tmp_path / "dinov2"))
    tiny_family("clip").save_pretrained(tmp_path / "half")
    with pytest.raises(BackboneError, match="type 'clip_vision_model', without a text tower"):
        load_image_and_text(str(tmp_path / "half"))


def test_missing_weights_of_the_text_tower_are_named(tmp_path):
    saved_towers(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=r"lack 1 tensors.*first text_projection\.weight"):
        load_image_and_text(str(tmp_path))

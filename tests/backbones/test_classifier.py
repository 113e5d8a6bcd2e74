"""A backbone's own head gives the logits the whole model gives, for classes named by WordNet ids."""

import pytest
import torch
from PIL import Image

from hsae.backbones.base import Preprocessing
from hsae.backbones.heads import HEADS
from hsae.backbones.hf import HFBackbone, HFConvNet
from hsae.backbones.registry import load_backbone
from hsae.data.known_classes import known_classes
from tests.backbones.tiny_families import SIDE, tiny_family, tiny_pixels

IMAGENET = known_classes("imagenet-1k")
HEADED = {
    "ConvNextForImageClassification": "convnext",
    "DeiTForImageClassification": "deit",
    "DeiTForImageClassificationWithTeacher": "deit",
    "Dinov2ForImageClassification": "dinov2",
    "Dinov2WithRegistersForImageClassification": "dinov2_with_registers",
    "ResNetForImageClassification": "resnet",
    "ViTForImageClassification": "vit",
}


def headed(name: str, labels: list[str]):
    family = HEADED[name]
    return tiny_family(family, name[name.index("For") :], id2label=dict(enumerate(labels)))


@pytest.mark.parametrize("name", HEADS)
def test_logits_equal_the_whole_models(name, tmp_path):
    model = headed(name, [f"{word}, a synonym" for word, _ in IMAGENET])
    model.save_pretrained(tmp_path)
    backbone, pixels = load_backbone(tmp_path, image_size=SIDE), tiny_pixels()
    with torch.no_grad():
        theirs = model(pixels).logits
        last = list(backbone.layers)[-1]
        tokens = backbone.run_pixels(pixels, [last])[last]
        ours = backbone.classifier.logits(tokens)
        edited = backbone.classifier.logits(tokens + torch.randn_like(tokens))
    assert theirs.shape == (2, 1000)
    assert (ours - theirs).abs().max() <= 1e-5 * max(1, float(theirs.abs().max()))
    assert not torch.allclose(edited, theirs, atol=1e-2)
    assert backbone.classifier.classes == tuple(wnid for _, wnid in IMAGENET)


def test_imagenet_is_in_the_order_of_its_ids():
    classes = [wnid for _, wnid in IMAGENET]
    assert (len(classes), classes) == (1000, sorted(set(classes)))
    assert (classes[0], classes[207], classes[999]) == ("n01440764", "n02099601", "n15075141")


def test_a_head_for_other_classes_is_not_given_out():
    model = headed("ViTForImageClassification", ["left", "right"])
    assert HFBackbone("tiny", model, Preprocessing(image_size=SIDE)).classifier is None
    shuffled = [word for word, _ in reversed(IMAGENET)]
    model = headed("ResNetForImageClassification", shuffled)
    assert HFConvNet("tiny", model, Preprocessing(image_size=SIDE)).classifier is None


def test_gradients_reach_the_tokens_and_not_the_weights():
    backbone = HFBackbone(
        "tiny", headed("ViTForImageClassification", [word for word, _ in IMAGENET]), Preprocessing(image_size=SIDE)
    )
    tokens = torch.randn(1, 17, 32, requires_grad=True)
    backbone.classifier.logits(tokens)[0, 5].backward()
    assert tokens.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in backbone.model.parameters())


def test_efficientnet_logits_equal_the_whole_models(lite0):
    pixels = tiny_pixels(97)
    with torch.no_grad():
        ours = lite0.classifier.logits(lite0.run_pixels(pixels, ["head"])["head"])
        assert (ours - lite0.model(pixels)).abs().max() <= 1e-5


@pytest.mark.slow
def test_efficientnet_is_right_about_most_photographs(lite0, shared):
    folders = sorted((shared / "data/imagenet-samples").iterdir())[::10]
    images = [Image.open(next(folder.iterdir())) for folder in folders]
    with torch.no_grad():
        predicted = lite0.classifier.logits(lite0.run(images, ["head"])["head"]).argmax(1)
    names = [lite0.classifier.classes[index] for index in predicted]
    right = sum(name == folder.name for name, folder in zip(names, folders, strict=True))
    assert len(folders) == 50
    assert right >= 38

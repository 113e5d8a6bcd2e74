"""A model with the weights of one that a run was made with is refused before anything is computed."""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from hsae.activations.extract import extract_activations
from hsae.backbones.registry import load_backbone
from hsae.data.samples import load_samples
from hsae.errors import InputError
from hsae.sae.config import SAEConfig
from hsae.sae.train import TrainConfig
from tests.tiny_models import tiny_dinov2
from training.run_config import RunConfig
from training.stages import run
from training.twins import refuse_twin


@pytest.fixture
def models(tmp_path):
    """A base model, a fine-tune of it that left the image side alone, and one that did not."""
    for name, seed in (("base", 0), ("text_tuned", 0), ("image_tuned", 1)):
        tiny_dinov2(seed).model.save_pretrained(tmp_path / "models" / name)
    return {name: str(tmp_path / "models" / name) for name in ("base", "text_tuned", "image_tuned")}


@pytest.fixture
def config(models, tmp_path):
    """A run of the text-tuned model beside a run of the base model."""
    samples = load_samples("starter").subset([0, 1])
    store = tmp_path / "runs" / "first" / "activations" / "train"
    extract_activations(load_backbone(models["base"], image_size=28), samples, store, progress=False)
    return RunConfig(run=str(tmp_path / "runs" / "second"), backbone=models["text_tuned"], image_size=28)


def refuse(config):
    refuse_twin(config, load_backbone(config.backbone, image_size=config.image_size))


def test_the_same_weights_under_another_name_are_refused_with_the_run_that_has_them(config, tmp_path):
    with pytest.raises(InputError, match=rf"same vision weights as the backbone of the run {tmp_path}/runs/first"):
        run(config, SAEConfig(d_sae=48, k=4), TrainConfig(batch_size=8), Accelerator())
    assert not (tmp_path / "runs" / "second").exists()


def test_the_base_model_can_be_named(config, models, tmp_path):
    elsewhere = replace(config, run=str(tmp_path / "elsewhere" / "run"))
    refuse(elsewhere)
    with pytest.raises(InputError, match=rf"{models['text_tuned']} has the same vision weights as {models['base']}"):
        refuse(replace(elsewhere, base_backbone=models["base"]))
    refuse(replace(elsewhere, base_backbone=models["image_tuned"]))


def test_what_is_no_twin_goes_on(config, models, tmp_path):
    refuse(replace(config, backbone=models["image_tuned"]))
    refuse(replace(config, backbone=models["base"]))  # the same model with other settings
    refuse(replace(config, token="mean"))
    refuse(replace(config, image_size=42))
    refuse(replace(config, run=str(tmp_path / "runs" / "first")))  # the run itself, which the store checks
    (tmp_path / "runs" / "first" / "activations" / "train" / "manifest.json").write_text("{")
    refuse(config)


@pytest.fixture
def clips(tmp_path):
    """A tiny CLIP, the same with another text side, and the same with one other weight of the image side."""
    from transformers import CLIPConfig, CLIPModel

    width = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**width, "image_size": 32, "patch_size": 8}
    text = {**width, "vocab_size": 50, "max_position_embeddings": 7}
    model = CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=8))
    changes = {
        "base": None,
        "text": "text_model.encoder.layers.1.mlp.fc1.weight",
        "vision": "vision_model.encoder.layers.1.mlp.fc1.weight",
    }
    found = {}
    for name, changed in changes.items():
        if changed:
            with torch.no_grad():
                model.get_parameter(changed)[0, 0] += 1e-3
        model.save_pretrained(tmp_path / name)
        found[name] = load_backbone(tmp_path / name, image_size=32)
    return found


def test_only_the_image_side_counts(clips):
    assert clips["base"].fingerprint == clips["text"].fingerprint
    assert clips["base"].fingerprint != clips["vision"].fingerprint
    pixels = torch.randn(1, 3, 32, 32)
    found = {name: backbone.run_pixels(pixels, ["block_02"])["block_02"] for name, backbone in clips.items()}
    assert torch.equal(found["base"], found["text"])
    assert not torch.equal(found["base"], found["vision"])

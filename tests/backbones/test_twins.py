"""A CLIP whose text side alone was fine-tuned has the same vision tower; one weight of the image side tells."""

import pytest
import torch

from hsae.backbones.registry import load_backbone
from hsae.backbones.twins import same_vision_tower


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
    assert same_vision_tower(clips["base"], clips["text"])
    assert not same_vision_tower(clips["base"], clips["vision"])
    pixels = torch.randn(1, 3, 32, 32)
    found = {name: backbone.run_pixels(pixels, ["block_02"])["block_02"] for name, backbone in clips.items()}
    assert torch.equal(found["base"], found["text"])
    assert not torch.equal(found["base"], found["vision"])

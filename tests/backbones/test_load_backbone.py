"""Folders in transformers' format load as they were saved; every other folder is refused with what to do."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from hsae.backbones.base import Preprocessing
from hsae.backbones.hf import HFBackbone
from hsae.backbones.registry import load_backbone
from hsae.errors import BackboneError, InputError
from tests.backbones.tiny_families import CONVNETS, PREFIX, tiny_family, tiny_pixels
from tests.tiny_models import SIDE, tiny_dinov2, tiny_model

WEIGHTS = "model.safetensors"


@pytest.fixture
def saved(tmp_path):
    """A local folder with a tiny model."""
    tiny_model().save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def refused(folder, said):
    with pytest.raises(BackboneError, match=said) as caught:
        load_backbone(folder)
    assert str(folder) in str(caught.value)


def test_a_saved_folder_is_the_same_backbone(saved):
    here, loaded = tiny_dinov2(), load_backbone(saved, image_size=SIDE)
    image = Image.radial_gradient("L")
    assert loaded.fingerprint == here.fingerprint
    assert torch.equal(loaded.run([image])["block_03"], here.run([image])["block_03"])
    assert (loaded.id, loaded.revision) == (str(saved), None)
    assert not loaded.model.training


def test_the_fingerprint_does_not_depend_on_the_dtype_asked_for(saved):
    half = load_backbone(saved, dtype=torch.float16)
    assert half.dtype == torch.float16
    assert half.fingerprint == load_backbone(saved).fingerprint


def test_weights_stored_in_half_precision_are_read_in_single(saved):
    model = tiny_model()
    model.half().save_pretrained(saved)
    loaded = load_backbone(saved)
    assert loaded.dtype == torch.float32
    assert loaded.fingerprint != tiny_dinov2().fingerprint


def test_missing_weights_are_named(saved):
    tensors = load_file(saved / WEIGHTS)
    del tensors["encoder.layer.1.mlp.fc1.bias"]
    save_file(tensors, saved / WEIGHTS, metadata={"format": "pt"})
    refused(saved, r"lack 1 tensors, .* first encoder\.layer\.1\.mlp\.fc1\.bias")


def test_weights_of_another_shape(saved):
    tensors = load_file(saved / WEIGHTS) | {"layernorm.bias": torch.zeros(7)}
    save_file(tensors, saved / WEIGHTS, metadata={"format": "pt"})
    refused(saved, r"1 tensors, or have them in another shape, first layernorm\.bias")


def cut_weights(folder):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def pickled_weights(folder):
    (folder / WEIGHTS).unlink()
    torch.save(tiny_model().state_dict(), folder / "pytorch_model.bin")


DEFECTS = {
    "weights cut short": cut_weights,
    "pickled weights only": pickled_weights,
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "empty weights": lambda folder: (folder / WEIGHTS).write_bytes(b""),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "config is not JSON": lambda folder: (folder / "config.json").write_text("{"),
    "config without a type": lambda folder: (folder / "config.json").write_text("{}"),
    "binary config": lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe\x00"),
    "broken preprocessor": lambda folder: (folder / "preprocessor_config.json").write_text("[1,"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_damaged_folder_is_refused(saved, defect):
    load_backbone(saved)
    DEFECTS[defect](saved)
    refused(saved, "could not be loaded|is a model of type 'unknown'")


def test_another_family_is_refused_before_its_weights_are_read(saved):
    (saved / "config.json").write_text('{"model_type": "swin"}')
    (saved / WEIGHTS).unlink()
    refused(saved, r"'swin'.*clip, .*dinov2, dinov2_with_registers, dinov3_vit, .*vit_mae")


def test_code_that_comes_with_a_model_is_never_run(saved, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("nobody is asked"))
    trap = tmp_path / "ran"
    (saved / "evil.py").write_text(f"open({str(trap)!r}, 'w')\nclass C: pass\n")
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.C"}}
    (saved / "config.json").write_text(json.dumps(config))
    refused(saved, "is a model of type 'evil'")
    known = json.loads(tiny_model().config.to_json_string())
    (saved / "config.json").write_text(json.dumps(known | {"auto_map": config["auto_map"]}))
    load_backbone(saved)
    assert not trap.exists()


SETTINGS = {
    "quantised": (
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
        "quantization_config",
    ),
    "quantised otherwise": ({"quantization_config": {"quant_method": "nobody knows"}}, "quantization_config"),
    "attention by a missing package": ({"_attn_implementation": "flash_attention_2"}, "FlashAttention2"),
    "attention from the Hub": ({"attn_implementation": "org/kernel"}, "could not be loaded"),
    "patches that are not square": ({"patch_size": [14, 14]}, r"patch_size = \[14, 14\]"),
    "patches of no pixel": ({"patch_size": 0}, "patch_size = 0"),
    "gray images": ({"num_channels": 1}, "num_channels = 1"),
    "too many blocks": ({"num_hidden_layers": 10**9}, "num_hidden_layers = 1000000000"),
    "no blocks": ({"num_hidden_layers": 0}, "num_hidden_layers = 0"),
    "a width of another type": ({"hidden_size": [32]}, "could not be loaded"),
    "a width that no memory holds": ({"hidden_size": 2**40}, "could not be loaded"),
    "no heads": ({"num_attention_heads": 0}, "could not be loaded"),
    "an unknown number type": ({"dtype": "complex9"}, "could not be loaded"),
    "two problems": ({"patch_size": "14", "num_channels": 4}, "patch_size = '14', num_channels = 4.*; num_channels: 3"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_no_backbone_here_can_have(saved, name):
    load_backbone(saved)
    settings, said = SETTINGS[name]
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps(config | settings))
    refused(saved, said)


def test_settings_of_a_vision_tower_are_looked_at_too(tmp_path):
    config = {"model_type": "siglip", "vision_config": {"num_hidden_layers": 10**9, "patch_size": [16, 16]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    refused(tmp_path, r"patch_size = \[16, 16\], num_hidden_layers = 1000000000")


@pytest.mark.parametrize("settings", [{"model_type": "timm_wrapper"}, {"pretrained_cfg": {}}])
def test_a_model_of_timm_is_refused_without_timm(saved, settings):
    (saved / "config.json").write_text(json.dumps({"architecture": "vit_small_patch16_224"} | settings))
    refused(saved, "timm_wrapper.*Expected one of clip")


@pytest.mark.parametrize("family", [*PREFIX, *CONVNETS])
def test_every_family_loads_as_it_was_saved(tmp_path, family):
    tiny_family(family).save_pretrained(tmp_path)
    loaded, pixels = load_backbone(tmp_path, image_size=64), tiny_pixels(64)
    saved, read = tiny_family(family).state_dict(), loaded.model.state_dict()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in read.items())
    assert {name.split(".")[0] for name in saved.keys() - read.keys()} <= {"pooler"}  # which no layer needs
    here = type(loaded)("here", tiny_family(family), Preprocessing(image_size=64))
    for name, x in loaded.run_pixels(pixels).items():
        assert torch.equal(x, here.run_pixels(pixels)[name])


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_only_the_vision_tower_of_a_model_with_two_is_loaded(tmp_path, caplog, family):
    import transformers

    name = {"clip": "CLIP", "siglip": "Siglip"}[family]
    vision = tiny_family(family)
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    text |= {"vocab_size": 9, "max_position_embeddings": 7}
    config = getattr(transformers, f"{name}Config")(text_config=text, vision_config=vision.config.to_dict())
    both = getattr(transformers, f"{name}Model")(config)
    both.vision_model.load_state_dict(vision.state_dict())
    both.save_pretrained(tmp_path)
    assert any(name.startswith("text_model") for name in load_file(tmp_path / WEIGHTS))
    loaded = load_backbone(tmp_path, image_size=SIDE)
    assert "UNEXPECTED" not in caplog.text
    assert loaded.fingerprint == HFBackbone("alone", vision, Preprocessing(image_size=SIDE)).fingerprint


def test_of_a_masked_autoencoder_only_the_encoder_is_loaded(tmp_path):
    decoder = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_intermediate_size": 8}
    whole = tiny_family("vit_mae", "ForPreTraining", decoder_num_attention_heads=1, **decoder)
    whole.save_pretrained(tmp_path)
    loaded = load_backbone(tmp_path, image_size=SIDE)
    assert loaded.fingerprint == HFBackbone("alone", whole.vit, Preprocessing(image_size=SIDE)).fingerprint


def test_a_model_that_cannot_be_reached_says_where_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BackboneError) as caught:
        load_backbone("facebook/dinov3-vits16-pretrain-lvd1689m")
    assert "hf download facebook/dinov3-vits16-pretrain-lvd1689m --local-dir FOLDER" in str(caught.value)
    assert "licence accepted" in str(caught.value)
    assert "openai/clip-vit-base-patch32" in str(caught.value)


@pytest.mark.parametrize("name", ["dinov3", "a/b/c", "no/such/folder/"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(BackboneError, match=r"dinov2-small-focus.*Hub id such as facebook/dinov2-small.*folder"):
        load_backbone(name)


def test_pinned_weights_have_no_revision():
    with pytest.raises(InputError, match="revision 'main' of dinov2-small-focus"):
        load_backbone("dinov2-small-focus", revision="main")

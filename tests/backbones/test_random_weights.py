"""`@random` behind a name: the architecture stays, what was learned goes."""

import pytest
import torch
from PIL import Image

from hsae.backbones.registry import load_backbone, with_random_weights
from hsae.errors import BackboneError
from tests.tiny_models import SIDE, PlainBackbone, tiny_dinov2, tiny_model


@pytest.fixture
def saved(tmp_path):
    tiny_model(seed=3).save_pretrained(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def test_the_name_with_the_suffix_loads_the_same_shapes_with_other_weights(saved):
    trained, random = (load_backbone(saved + suffix, image_size=SIDE) for suffix in ("", "@random"))
    assert random.id == f"{saved}@random"
    assert random.layers == trained.layers
    assert random.preprocessing == trained.preprocessing
    assert random.fingerprint != trained.fingerprint
    shapes = [{name: t.shape for name, t in b.model.state_dict().items()} for b in (trained, random)]
    assert shapes[0] == shapes[1]
    image = Image.radial_gradient("L")
    assert not torch.allclose(random.run([image])["block_03"], trained.run([image])["block_03"])


def test_the_weights_follow_from_the_seed_alone():
    trained = tiny_dinov2(seed=3)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = with_random_weights(trained).fingerprint
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert with_random_weights(trained).fingerprint == first
    assert with_random_weights(trained, seed=1).fingerprint != first


def test_the_weights_are_spread_as_transformers_starts_training():
    random = with_random_weights(tiny_dinov2(seed=3)).model
    spread = random.encoder.layer[1].mlp.fc1.weight.std().item()
    assert spread == pytest.approx(random.config.initializer_range, rel=0.1)
    assert not any(parameter.requires_grad for parameter in random.parameters())
    assert not random.training


def test_the_type_asked_for_is_kept_and_the_fingerprint_is_of_what_was_drawn(saved):
    half = load_backbone(saved + "@random", dtype=torch.float16)
    assert half.dtype == torch.float16
    assert half.fingerprint == load_backbone(saved + "@random").fingerprint


def test_a_backbone_of_another_library_is_refused():
    with pytest.raises(BackboneError, match="plain@random"):
        with_random_weights(PlainBackbone())


@pytest.mark.parametrize(("name", "millions", "layers"), [
    ("facebook/dinov2-giant", 1136.5, 40), ("facebook/dinov2-large", 304.4, 24), ("facebook/dinov2-base", 86.6, 12),
    ("openai/clip-vit-large-patch14", 303.2, 24), ("google/siglip-so400m-patch14-384", 428.2, 27),
])  # fmt: skip
def test_published_architectures_are_known_without_the_hub(monkeypatch, name, millions, layers):
    """Numbers of parameters are those of the published models (of CLIP and SigLIP the vision tower)."""
    monkeypatch.setattr("hsae.backbones.hf_architectures.settled", lambda *_: pytest.fail("asked the Hub"))
    backbone = load_backbone(f"{name}@random", device="meta")
    assert sum(p.numel() for p in backbone.model.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)
    assert len(backbone.layers) == layers


@pytest.mark.parametrize("name", ["clip-resnet50", "efficientnet-lite0", "cast-small"])
def test_named_architectures_outside_transformers_need_no_weights(monkeypatch, name):
    for place in ("checkpoint._fetch", "efficientnet_lite.converted"):
        monkeypatch.setattr(f"hsae.backbones.{place}", lambda *_: pytest.fail("asked for weights"))
    first, again = (load_backbone(f"{name}@random") for _ in range(2))
    assert first.id == f"{name}@random"
    assert first.fingerprint == again.fingerprint


def test_the_default_backbone_has_the_random_weights_that_it_had_when_its_own_were_read_first(focus):
    assert load_backbone("dinov2-small-focus@random").fingerprint == with_random_weights(focus).fingerprint

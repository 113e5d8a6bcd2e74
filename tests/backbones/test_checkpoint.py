"""Checkpoint files are known by their tensors and never run; what cannot be had is said, with where to get it."""

import warnings

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from hsae.backbones.registry import load_backbone
from hsae.errors import BackboneError, InputError
from tests.backbones.odd_models import CAST_SIDE, RESNET_SIDE, noise, tiny_cast, tiny_clip_resnet
from tests.tiny_models import tiny_model

SIDE = {"resnet": RESNET_SIDE, "cast": CAST_SIDE}


def openai_tensors() -> dict[str, torch.Tensor]:
    """As OpenAI and open_clip write them: the image tower beside the text tower, in half precision."""
    tower = {f"visual.{name}": value.clone() for name, value in tiny_clip_resnet().model.state_dict().items()}
    tower = {name: value.half() if value.is_floating_point() else value for name, value in tower.items()}
    return tower | {"text_projection": torch.zeros(3, 3), "logit_scale": torch.tensor(4.6)}


def moco_checkpoint() -> dict:
    """As CAST's authors write it: blocks twice and counted through, a head, the momentum encoder, the optimiser."""
    tensors, through = {}, {"blocks2.0": "blocks2.2", "blocks3.0": "blocks3.3", "blocks3.1": "blocks3.4"}
    through["blocks4.0"] = "blocks4.5"
    for name, value in published_cast().state_dict().items():
        name = through.get(name[:9], name[:9]) + name[9:]
        tensors |= {f"module.base_encoder.{name}": value, f"module.momentum_encoder.{name}": value + 1}
    tensors["module.base_encoder.head.0.weight"] = torch.zeros(3, 3)
    tensors["module.base_encoder.blocks.0.norm1.weight"] = torch.zeros(3)
    return {"epoch": 100, "arch": "cast_small", "state_dict": tensors, "optimizer": {"state": {}, "param_groups": []}}


def published_cast() -> nn.Module:
    """Of 12 heads and 64 clusters, which a checkpoint does not state."""
    from hsae.backbones.cast_model import CAST, CASTShape
    from tests.backbones.odd_models import randomised

    return randomised(CAST(CASTShape(width=24, depths=(2, 1, 2, 1), n_places=32 * 32, hidden=8)))


WRITERS = {
    "weights.safetensors": lambda path: save_file(openai_tensors(), path),
    "weights.pt": lambda path: torch.save(openai_tensors(), path),
    "epoch_32.pt": lambda path: torch.save({"epoch": 32, "state_dict": openai_tensors()}, path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_clip_resnet_in_any_of_the_formats(name, tmp_path):
    WRITERS[name](tmp_path / name)
    found = load_backbone(tmp_path / name, image_size=RESNET_SIDE)
    assert found.id == str(tmp_path / name)
    assert list(found.layers) == ["stem", "layer1", "layer2", "layer3", "layer4", "attnpool"]
    assert found.dtype == torch.float32
    expected = tiny_clip_resnet()
    expected.model.half().float()
    pixels = noise(RESNET_SIDE)
    assert torch.equal(found.run_pixels(pixels)["attnpool"], expected.run_pixels(pixels)["attnpool"])
    assert found.preprocessing.mean == (0.48145466, 0.4578275, 0.40821073)


def test_the_fingerprint_is_that_of_the_weights_whatever_the_file(tmp_path):
    found = set()
    for name, write in WRITERS.items():
        write(tmp_path / name)
        found.add(load_backbone(tmp_path / name, image_size=RESNET_SIDE).fingerprint)
    assert len(found) == 1
    tensors = {name: value for name, value in openai_tensors().items() if "num_batches_tracked" not in name}
    save_file(tensors, tmp_path / "without_counts.safetensors")
    assert load_backbone(tmp_path / "without_counts.safetensors", image_size=RESNET_SIDE).fingerprint in found
    tensors["visual.layer3.2.bn2.running_mean"][1] += 1
    save_file(tensors, tmp_path / "changed.safetensors")
    assert load_backbone(tmp_path / "changed.safetensors", image_size=RESNET_SIDE).fingerprint not in found


@pytest.mark.parametrize("beside", [None, '{"architecture": "resnet50_clip"}'])
def test_a_folder_as_the_hub_has_it(beside, tmp_path):
    save_file(openai_tensors(), tmp_path / "open_clip_model.safetensors")
    if beside:
        (tmp_path / "config.json").write_text(beside)
        save_file({"of.timm": torch.zeros(1)}, tmp_path / "model.safetensors")
    assert list(load_backbone(tmp_path, image_size=RESNET_SIDE).layers)[-1] == "attnpool"


def test_a_folder_of_transformers_stays_one(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    save_file(openai_tensors(), tmp_path / "open_clip_model.safetensors")
    assert list(load_backbone(tmp_path).layers) == ["block_01", "block_02", "block_03"]


def test_cast_as_its_authors_publish_it(tmp_path):
    torch.save(moco_checkpoint(), tmp_path / "checkpoint_0099.pth.tar")
    found = load_backbone(tmp_path / "checkpoint_0099.pth.tar", image_size=256)
    theirs = published_cast().state_dict()
    assert list(found.layers) == [f"block_{number:02d}" for number in range(1, 7)]
    assert all(torch.equal(value, theirs[name]) for name, value in found.model.state_dict().items())
    sizes = {name: tokens.shape[1] for name, tokens in found.run_pixels(noise(256)).items()}
    assert list(sizes.values()) == [1 + 256, 1 + 256, 1 + 64, 1 + 32, 1 + 32, 1 + 16]


@pytest.mark.parametrize("tiny", [tiny_clip_resnet, tiny_cast])
def test_a_checkpoint_that_lacks_something_says_what(tiny, tmp_path):
    tensors = {name: value.clone() for name, value in tiny().model.state_dict().items()}
    for name in [name for name in tensors if name.endswith(("layer2.0.conv2.weight", "pool2.pool_block.fc2.1.bias"))]:
        del tensors[name]
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    with pytest.raises(BackboneError, match=r"lacks 1 tensors.*(layer2\.0\.conv2\.weight|fc2\.1\.bias)"):
        load_backbone(path, image_size=64)
    save_file({name: value for name, value in tensors.items() if "pos" in name or "pool1" in name}, path)
    with pytest.raises(BackboneError, match=rf"{path} lacks the tensor '(conv3\.weight|cls_token)'"):
        load_backbone(path, image_size=64)


def torchscript(path):
    with warnings.catch_warnings():  # newer torch deprecates torch.jit
        warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return open, (self.file, "w")


def test_torchscript_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "RN50.pt"
    torchscript(path)
    with pytest.raises(
        BackboneError, match=r"TorchScript.*convert it once with python -c .*torch\.jit\.load"
    ) as caught:
        load_backbone(path)
    code = str(caught.value).split("python -c '")[1].split("'")[0]
    assert 'torch.jit.load("RN50.pt", "cpu").state_dict(), "weights.pt"' in code


def test_nothing_that_a_file_holds_is_run(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(openai_tensors() | {"trap": Trap(tmp_path / "ran")}, path)
    with pytest.raises(BackboneError, match="could not be loaded: Weights only load failed"):
        load_backbone(path)
    assert not (tmp_path / "ran").exists()


DEFECTS = {
    "junk.pt": b"hello",
    "empty.pt": b"",
    "empty.safetensors": b"",
    "other.safetensors": save({"something.else": torch.zeros(1)}),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_other_files_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(DEFECTS[name])
    with pytest.raises(BackboneError, match="could not be loaded") as caught:
        load_backbone(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "contents", [{"epoch": 3, "state_dict": {}}, {"state_dict": torch.zeros(1)}, {0: torch.zeros(1)}, torch.zeros(1)]
)
def test_a_file_without_named_tensors(contents, tmp_path):
    torch.save(contents, tmp_path / "weights.pt")
    with pytest.raises(BackboneError, match="holds no named tensors"):
        load_backbone(tmp_path / "weights.pt")


def test_names_fetch_from_the_hub(hub):
    hub.publish("timm/resnet50_clip.openai", {"open_clip_model.safetensors": save(openai_tensors())})
    found = load_backbone("clip-resnet50", image_size=RESNET_SIDE)
    assert (found.id, found.revision) == ("clip-resnet50", None)
    assert list(found.layers)[-1] == "attnpool"


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("clip-resnet50", r"timm/resnet50_clip\.openai/resolve/main/open_clip_model\.safetensors.*RN50\.pt"),
        ("cast-small", r"twke/CAST/resolve/main/snapshots/moco/imagenet1k/cast_small/checkpoint_0099\.pth\.tar"),
        ("cast-base", r"twke/CAST/resolve/main/snapshots/moco/imagenet1k/cast_base/checkpoint_0099\.pth\.tar"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_weights_that_cannot_be_had_are_not_made_up(name, where):
    with pytest.raises(BackboneError, match=where) as caught:
        load_backbone(name)
    assert f"give the path of the file instead of {name}" in str(caught.value)


def test_names_have_no_revision():
    with pytest.raises(InputError, match="revision 'v1' of cast-small"):
        load_backbone("cast-small", revision="v1")

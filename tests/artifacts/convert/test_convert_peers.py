"""The installed peers themselves: they open what we write, we open what they write, with the same outputs.

HSAE_PEERS names Python interpreters, separated by ":", of environments of their own where some of them are installed.
"""

from __future__ import annotations

import os
import subprocess

import pytest
import torch
from safetensors.torch import load_file, save_file

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.convert import dictionary_learning, overcomplete, sae_lens, sparsify
from tests.artifacts.test_artifact_save import parts
from tests.hub_emulator import TOKEN
from tests.tiny_models import random_sae

X = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def peer(tmp_path, hub):
    """Run a program where `module` is installed: it gets x, fills `out`, and may ask the Hub of the tests."""

    def run(module: str, program: str) -> dict[str, torch.Tensor]:
        save_file({"x": X}, tmp_path / "x.safetensors")
        head = "import torch; from safetensors.torch import load_file, save_file; torch.manual_seed(0)\n"
        head += "x = load_file('x.safetensors')['x']; out = {}\n"
        tail = "\nsave_file({k: v.detach().contiguous() for k, v in out.items()}, 'out.safetensors')\n"
        settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
        settings |= {"HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [_interpreter(module), "-c", head + program + tail],
            cwd=tmp_path, env=os.environ | settings, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return load_file(tmp_path / "out.safetensors")

    return run


def _interpreter(module: str) -> str:
    """The first of HSAE_PEERS that has the module; skips when none has."""
    for python in filter(None, os.environ.get("HSAE_PEERS", "").split(os.pathsep)):
        look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        if subprocess.run([python, "-c", look]).returncode == 0:
            return python
    pytest.skip(f"needs an interpreter with {module}, named by HSAE_PEERS")


def varied(activation: str):
    """An SAE with thresholds and gates that matter."""
    sae = random_sae(3, 8, 16, activation, k=4).eval()
    with torch.no_grad():
        for name in ("threshold", "r_mag", "b_mag"):
            if hasattr(sae, name):
                getattr(sae, name).copy_(torch.rand(getattr(sae, name).shape))
    return sae


@pytest.mark.slow
def test_sae_lens_opens_our_layers_from_disk_and_hub_and_the_reverse(peer, tmp_path):
    kinds = ("relu", "topk", "jumprelu", "batchtopk", "gated")
    for kind in kinds:
        artifact = parts(saes={name: varied(kind) for name in ("block_01", "block_02")})
        artifact.push(f"org/{kind}")
        artifact.save(tmp_path / kind)
    program = f"""
from sae_lens import SAE
for kind in {kinds}:
    disk = SAE.load_from_disk(kind + "/block_01")
    hub = SAE.from_pretrained("org/" + kind, "block_01")
    for name, sae in (("disk", disk), ("hub", hub)):
        out[kind + name + "z"] = sae.encode(x)
        out[kind + name + "x_hat"] = sae.decode(sae.encode(x))
"""
    program += """
from sae_lens import GatedSAE, GatedSAEConfig, JumpReLUSAE, JumpReLUSAEConfig, StandardSAE, StandardSAEConfig
from sae_lens import TopKSAE, TopKSAEConfig
kinds = {"standard": (StandardSAE, StandardSAEConfig, {}), "jumprelu": (JumpReLUSAE, JumpReLUSAEConfig, {}),
         "gated": (GatedSAE, GatedSAEConfig, {}), "topk": (TopKSAE, TopKSAEConfig, {"k": 4}),
         "rescaled": (TopKSAE, TopKSAEConfig, {"k": 4, "rescale_acts_by_decoder_norm": True})}
for kind, (sae_class, config_class, more) in kinds.items():
    for centred in (True, False):
        sae = sae_class(config_class(d_in=8, d_sae=16, apply_b_dec_to_input=centred, **more))
        for name, p in sae.named_parameters():
            p.data = torch.rand(p.shape) if name == "threshold" else torch.randn(p.shape)
        if kind == "topk":
            sae.W_dec.data /= sae.W_dec.norm(dim=1, keepdim=True)
        name = f"theirs_{kind}_{centred}"
        sae.save_model(name)
        out[name] = sae(x)
"""
    out = peer("sae_lens", program)
    for kind in kinds:
        x_hat, z = Artifact.load(tmp_path / kind).sae("block_01")(X)
        for name in ("disk", "hub"):
            torch.testing.assert_close(out.pop(f"{kind}{name}z"), z, **CLOSE)
            torch.testing.assert_close(out.pop(f"{kind}{name}x_hat"), x_hat, **CLOSE)
    assert len(out) == 10
    for name, x_hat in out.items():
        torch.testing.assert_close(sae_lens.read(tmp_path / name)(X)[0], x_hat, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.slow
def test_sparsify_opens_what_we_write_and_the_reverse(peer, tmp_path):
    sae = varied("topk")
    sparsify.write(sae, tmp_path / "ours")
    program = """
from sparsify import SparseCoder, SparseCoderConfig
ours = SparseCoder.load_from_disk("ours")
top = ours.encode(x)
out["ours"] = ours.decode(top.top_acts, top.top_indices)
theirs = SparseCoder(8, SparseCoderConfig(num_latents=24, k=3))
theirs.encoder.bias.data.normal_(); theirs.b_dec.data.normal_()
theirs.save_to_disk("theirs")
top = theirs.encode(x)
out["theirs"] = theirs.decode(top.top_acts, top.top_indices)
"""
    out = peer("sparsify", program)
    torch.testing.assert_close(out["ours"], sae(X)[0], **CLOSE)
    torch.testing.assert_close(sparsify.read(tmp_path / "theirs")(X)[0], out["theirs"], **CLOSE)


@pytest.mark.slow
def test_we_open_what_dictionary_learning_writes(peer, tmp_path):
    program = """
import json, os, sys, types
sys.modules["nnsight"] = types.ModuleType("nnsight")  # would bring a language model's tools, pinned to old ones
sys.modules["nnsight"].LanguageModel = None
from dictionary_learning.dictionary import AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder
from dictionary_learning.trainers.top_k import AutoEncoderTopK
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
made = [AutoEncoder(8, 16), AutoEncoderNew(8, 16), GatedAutoEncoder(8, 16), JumpReluAutoEncoder(8, 16),
        AutoEncoderTopK(8, 16, 4), BatchTopKSAE(8, 16, 4), MatryoshkaBatchTopKSAE(8, 16, 4, [8, 8])]
for sae in made:
    for name, p in sae.named_parameters():
        if p.ndim == 1:
            p.data = torch.rand(p.shape)
    if hasattr(sae, "k"):
        sae.threshold.fill_(0.4)
    name = type(sae).__name__
    os.mkdir(name)
    torch.save(sae.state_dict(), name + "/ae.pt")
    trainer = {"dict_class": name} | ({"k": 4} if hasattr(sae, "k") else {})
    json.dump({"trainer": trainer}, open(name + "/config.json", "w"))
    out[name] = sae.decode(sae.encode(x))
"""
    for name, x_hat in peer("dictionary_learning", program).items():
        torch.testing.assert_close(dictionary_learning.read(tmp_path / name)(X)[0], x_hat, **CLOSE)


@pytest.mark.slow
def test_we_open_what_overcomplete_saves(peer, tmp_path):
    program = """
import sys, types
for name in ("overcomplete.models", "overcomplete.visualization"):  # would need torchvision and scikit-image
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__getattr__ = lambda name: None
from overcomplete.sae import SAE, TopKSAE, JumpSAE
for name, sae in {"relu": SAE(8, 16), "topk": TopKSAE(8, 16, top_k=4), "jumprelu": JumpSAE(8, 16)}.items():
    sae.train(); sae(x); sae.eval()
    torch.save(sae.state_dict(), name + ".pt")
    out[name] = sae(x)[2]
"""
    for name, x_hat in peer("overcomplete", program).items():
        torch.testing.assert_close(overcomplete.read(tmp_path / f"{name}.pt", name, k=4)(X)[0], x_hat, **CLOSE)

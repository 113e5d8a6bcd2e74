"""A layer's folder is what SAELens 6 reads: its formula on the raw tensors gives our latents and reconstructions."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from hsae.artifacts.artifact import Artifact
from hsae.errors import ArtifactError, InputError
from tests.artifacts.conftest import GOLDEN, edit_json, rehash
from tests.tiny_models import random_sae

KEYS = {"architecture", "d_in", "d_sae", "dtype", "device", "apply_b_dec_to_input", "normalize_activations"}
KEYS |= {"reshape_activations", "metadata"}


def read_as_saelens(folder):
    """cfg.json and the weights, cast to the dtype that the configuration names."""
    cfg = json.loads((folder / "cfg.json").read_text())
    weights = load_file(folder / "sae_weights.safetensors")
    return cfg, {name: tensor.to(getattr(torch, cfg["dtype"])) for name, tensor in weights.items()}


def saelens_forward(cfg, weights, x):
    """f = act((x - b_dec) W_enc + b_enc), x_hat = f W_dec + b_dec, one token at a time."""
    latents = torch.zeros(len(x), cfg["d_sae"])
    for row, token in enumerate(x - weights["b_dec"] * cfg["apply_b_dec_to_input"]):
        pre = token @ weights["W_enc"] + weights["b_enc"]
        kept = pre.argsort(descending=True)[: cfg["k"]] if cfg["architecture"] == "topk" else torch.arange(len(pre))
        latents[row, kept] = pre[kept].clamp_min(0)
    return latents, latents @ weights["W_dec"] + weights["b_dec"]


@pytest.mark.parametrize("layer", ["block_01", "block_02"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_formula_on_the_raw_files_gives_our_values(tmp_path, layer, dtype):
    saved = Artifact.load(GOLDEN / "schema_1").save(tmp_path / "a", dtype=dtype)
    x = torch.randn(50, 8)
    cfg, weights = read_as_saelens(saved / layer)
    x_hat, z = Artifact.load(saved).sae(layer)(x)
    latents, reconstruction = saelens_forward(cfg, weights, x)
    torch.testing.assert_close(z, latents)
    torch.testing.assert_close(x_hat, reconstruction)
    with pytest.raises(AssertionError):  # control: the input is centred
        torch.testing.assert_close(z, saelens_forward(cfg | {"apply_b_dec_to_input": False}, weights, x)[0])


def saved_with(sae, folder):
    """The golden artifact with another SAE in its first layer."""
    made = Artifact.load(GOLDEN / "schema_1")
    saes = {name: made.sae(name) for name in made.layers} | {"block_01": sae}
    parts = {"latents": made.latents, "top_images": made.top_images, "probes": made.probe}
    tables = {part: {name: of(name) for name in made.layers} for part, of in parts.items()}
    given = {"backbone": made.backbone, "dataset": made.dataset, "taxonomy": made.taxonomy_rule}
    parts = Artifact.from_parts(**given, saes=saes, **tables, curves=made.curves, tree=made.tree)
    return parts.save(folder, dtype="float32")


def test_nested_k_is_an_ordinary_topk_sae_with_any_k_of_its_list(tmp_path):
    nested = random_sae(d_in=8, d_sae=16, activation="topk", k=5, ks=(1, 3, 5))
    saved, x = saved_with(nested, tmp_path / "a"), torch.randn(30, 8)
    cfg, weights = read_as_saelens(saved / "block_01")
    assert (cfg["architecture"], cfg["k"], cfg["metadata"]["ks"]) == ("topk", 5, [1, 3, 5])
    loaded = Artifact.load(saved)
    for k in (1, 3, 5):
        torch.testing.assert_close(
            loaded.sae("block_01", k=k).encode(x), saelens_forward(cfg | {"k": k}, weights, x)[0]
        )
    assert loaded.sae("block_01").ks == (1, 3, 5)
    assert loaded.sae("block_01").k == 5
    for layer, k in (("block_01", 2), ("block_02", 4)):
        with pytest.raises(InputError, match=f"k {k}"):
            loaded.sae(layer, k=k)


@pytest.mark.parametrize("ks", [[1, 3], [3, 1, 5], [1, 1, 5], [0, 5], "5", [1.0, 5], []])
def test_a_list_of_k_that_does_not_end_in_k_is_refused(tmp_path, ks):
    saved = saved_with(random_sae(d_in=8, d_sae=16, activation="topk", k=5, ks=(1, 5)), tmp_path / "a")
    edit_json(saved / "block_01" / "cfg.json", lambda cfg: cfg["metadata"].update(ks=ks))
    rehash(saved)
    with pytest.raises(ArtifactError, match="metadata ks"):
        Artifact.load(saved).sae("block_01")


def test_coarse_and_fine_opens_as_jumprelu(tmp_path):
    sae, x = random_sae(d_in=8, d_sae=16, activation="coarse_fine", k=5), torch.randn(30, 8)
    sae.threshold.uniform_(0, 1)
    saved = saved_with(sae, tmp_path / "a")
    loaded = Artifact.load(saved).sae("block_01")
    assert loaded.activation == "jumprelu"
    assert json.loads((saved / "block_01" / "cfg.json").read_text())["architecture"] == "jumprelu"
    torch.testing.assert_close(loaded.encode(x), sae.eval().encode(x))


def test_the_configuration_has_the_keys_of_the_format():
    topk, _ = read_as_saelens(GOLDEN / "schema_1" / "block_01")
    standard, weights = read_as_saelens(GOLDEN / "schema_1" / "block_02")
    assert set(standard) == KEYS
    assert set(topk) == KEYS | {"k", "rescale_acts_by_decoder_norm"}
    assert (topk["architecture"], standard["architecture"]) == ("topk", "standard")
    assert topk["rescale_acts_by_decoder_norm"] is False
    assert (topk["normalize_activations"], topk["reshape_activations"]) == ("none", "none")
    assert int(topk["metadata"]["sae_lens_version"].split(".")[0]) >= 6
    assert (topk["metadata"]["model_name"], topk["metadata"]["hook_name"]) == ("golden", "block_01")
    assert {name: tuple(tensor.shape) for name, tensor in weights.items()} == {
        "W_enc": (8, 16), "b_enc": (16,), "W_dec": (16, 8), "b_dec": (8,),
    }  # fmt: skip

"""A converted SAE answers as the peer's formula does on its own tensors; what cannot be kept exactly is refused."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import hsae
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.convert import dictionary_learning, overcomplete, prisma, sae_lens, saev, sparsify
from hsae.errors import ArtifactError, InputError
from tests.artifacts.conftest import GOLDEN
from tests.artifacts.test_artifact_save import parts
from tests.golden.make import make_artifact
from tests.tiny_models import random_sae

D, M, K = 6, 10, 3
X = torch.randn(40, D, generator=torch.Generator().manual_seed(1))


def tensors(lengths: bool = True) -> dict[str, torch.Tensor]:
    """Random weights; decoder rows of different lengths, or of length 1."""
    chance = torch.Generator().manual_seed(0)
    shapes = {"W_enc": (D, M), "b_enc": (M,), "W_dec": (M, D), "b_dec": (D,), "b_mag": (M,), "r_mag": (M,)}
    w = {name: torch.randn(*shape, generator=chance) for name, shape in shapes.items()}
    w["threshold"] = torch.rand(M, generator=chance)
    if not lengths:
        w["W_dec"] = w["W_dec"] / w["W_dec"].norm(dim=1, keepdim=True)
    return w


def naive(w, kind: str, *, centred: bool = True) -> torch.Tensor:
    """The reconstruction by the formulas of the peers, one token at a time."""
    rows = []
    for x in X - w["b_dec"] * centred:
        pre = x @ w["W_enc"] + w["b_enc"]
        z = pre.clamp_min(0)
        if kind == "topk":
            keep = pre.argsort(descending=True)[:K]
            z = torch.zeros(M).index_copy(0, keep, z[keep])
        elif kind == "jumprelu":
            z = z * (pre > w["threshold"])
        elif kind == "gated":
            z = (pre > 0) * (x @ (w["W_enc"] * w["r_mag"].exp()) + w["b_mag"]).clamp_min(0)
        rows.append(z @ w["W_dec"] + w["b_dec"])
    return torch.stack(rows)


def assert_same(sae, expected) -> None:
    x_hat, z = sae(X)
    torch.testing.assert_close(x_hat, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(M))
    assert (z >= 0).all()
    assert not any(p.requires_grad for p in sae.parameters())


def write_saelens(folder, w, kind: str, **cfg):
    names = {"gated": {"b_gate": "b_enc", "b_mag": "b_mag", "r_mag": "r_mag"}}.get(kind, {"b_enc": "b_enc"})
    names |= {"threshold": "threshold"} if kind == "jumprelu" else {}
    folder.mkdir()
    save_file({n: w[o] for n, o in ({"W_enc": "W_enc", "W_dec": "W_dec", "b_dec": "b_dec"} | names).items()},
              folder / "sae_weights.safetensors")  # fmt: skip
    known = {"architecture": kind, "k": K, "apply_b_dec_to_input": True, "normalize_activations": "none"}
    known |= {"reshape_activations": "none", "metadata": {"sae_lens_version": "6.5.1"}}
    (folder / "cfg.json").write_text(json.dumps(known | cfg))
    return folder


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("kind", ["standard", "topk", "jumprelu", "gated"])
def test_sae_lens(tmp_path, kind, centred):
    w = tensors(lengths=kind != "topk")
    folder = write_saelens(tmp_path / "a", w, kind, apply_b_dec_to_input=centred)
    assert_same(sae_lens.read(folder), naive(w, kind, centred=centred))


def test_sae_lens_chooses_by_rescaled_latents(tmp_path):
    w = tensors()
    lengths = w["W_dec"].norm(dim=1)
    folded = w | {"W_enc": w["W_enc"] * lengths, "b_enc": w["b_enc"] * lengths, "W_dec": w["W_dec"] / lengths[:, None]}
    with pytest.raises(ArtifactError, match="different lengths"):
        sae_lens.read(write_saelens(tmp_path / "a", w, "topk"))
    rescaled = write_saelens(tmp_path / "b", w, "topk", rescale_acts_by_decoder_norm=True)
    assert_same(sae_lens.read(rescaled), naive(folded, "topk"))


@pytest.mark.parametrize(
    "cfg",
    [
        {"normalize_activations": "layer_norm"}, {"normalize_activations": "expected_average_only_in"},
        {"architecture": "transcoder"}, {"architecture": ["topk"]}, {"reshape_activations": "hook_z"},
        {"metadata": {"sae_lens_version": "5.9.0"}}, {"metadata": None}, {"k": 11}, {"k": "3"}, {"k": True},
        {"apply_b_dec_to_input": 1},
    ],
)  # fmt: skip
def test_sae_lens_that_is_not_kept_exactly_is_refused(tmp_path, cfg):
    with pytest.raises(ArtifactError, match="guesswork"):
        sae_lens.read(write_saelens(tmp_path / "a", tensors(lengths=False), "topk", **cfg))


@pytest.mark.parametrize("layer", Artifact.load("starter").layers)
def test_the_packaged_layers_in_half_precision_are_read_as_they_are(layer):
    expected = Artifact.load("starter").sae(layer)
    again = sae_lens.read(Path(hsae.__file__).parent / "starter" / "artifact" / layer)
    assert (again.activation, again.k) == (expected.activation, expected.k)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def halved(w, dtype) -> dict[str, torch.Tensor]:
    return {name: tensor.to(dtype) for name, tensor in w.items()}


def write_peer(folder, peer: str, w):
    """The same TopK (of saev: ReLU) SAE as a file of each peer, and how it is read."""
    plain = {n: w[n] for n in ("W_enc", "b_enc", "W_dec", "b_dec")}
    turned = {"encoder.weight": w["W_enc"].T.contiguous(), "encoder.bias": w["b_enc"]}
    if peer == "sae_lens":
        return sae_lens.read(write_saelens(folder / "a", w, "topk"))
    if peer == "sparsify":
        save_file(turned | {"W_dec": w["W_dec"], "b_dec": w["b_dec"]}, folder / "sae.safetensors")
        (folder / "cfg.json").write_text(json.dumps({"k": K, "d_in": D}))
        return sparsify.read(folder)
    if peer == "dictionary_learning":
        return dictionary_learning.read(
            write_dictionary(folder, "AutoEncoderTopK", dictionary_state("AutoEncoderTopK", w))
        )
    if peer == "prisma":
        torch.save(plain, folder / "weights.pt")
        config = {"normalize_activations": "none", "activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}}
        (folder / "config.json").write_text(json.dumps(config))
        return prisma.read(folder / "weights.pt")
    if peer == "overcomplete":
        names = {"W_enc": "encoder.final_block.0.weight", "b_enc": "encoder.final_block.0.bias"}
        state = {names["W_enc"]: w["W_enc"].T, names["b_enc"]: w["b_enc"], "dictionary._weights": w["W_dec"]}
        torch.save(state | {"dictionary.multiplier": torch.tensor(0.0)}, folder / "sae.pt")
        return overcomplete.read(folder / "sae.pt", "topk", k=K)
    header = {"schema": 5, "cfg": {"activation": {"cls": "Relu", "params": {}}}}
    return saev.read(write_saev(folder / "sae.pt", header, plain))


PEERS = ("sae_lens", "sparsify", "dictionary_learning", "prisma", "overcomplete", "saev")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("peer", PEERS)
def test_what_rounding_makes_of_unit_rows_stays_as_it_is(tmp_path, peer, dtype):
    w = halved(tensors(lengths=False), dtype)
    if peer == "overcomplete":
        w["b_dec"] = torch.zeros(D, dtype=dtype)
    sae = write_peer(tmp_path, peer, w)
    single = halved(w, torch.float32)
    assert torch.equal(sae.W_dec, single["W_dec"])
    assert (dtype == torch.float64) == ((sae.W_dec.norm(dim=1) - 1).abs().max().item() < 1e-6)  # rounding was there
    expected = naive(single, "relu" if peer == "saev" else "topk", centred=peer != "saev")
    torch.testing.assert_close(sae(X)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_rows_that_are_equally_long_but_for_rounding_keep_what_topk_chooses(tmp_path, dtype):
    w = tensors(lengths=False)
    w["W_dec"] = w["W_dec"] * 0.3
    w = halved(w, dtype)
    sae = sae_lens.read(write_saelens(tmp_path / "a", w, "topk"))
    torch.testing.assert_close(sae(X)[0], naive(halved(w, torch.float32), "topk"), rtol=1e-5, atol=1e-5)
    assert (sae.W_dec.norm(dim=1) - 1).abs().max() < torch.finfo(dtype).eps + 1e-6
    w["W_dec"][0] *= 1 + 4 * max(1e-4, torch.finfo(dtype).eps)
    with pytest.raises(ArtifactError, match="different lengths"):
        sae_lens.read(write_saelens(tmp_path / "b", w, "topk"))


def test_numbers_in_a_byte_are_refused(tmp_path):
    w = halved(tensors(lengths=False), torch.float8_e4m3fn)
    with pytest.raises(ArtifactError, match="float8_e4m3fn"):
        sae_lens.read(write_saelens(tmp_path / "a", w, "topk"))


@pytest.mark.parametrize("settings", [{"signed": True}, {"gram_lookup": True}, {"batch_topk": True}, {"new": None}])
@pytest.mark.parametrize("peer", ["sae_lens", "sparsify", "dictionary_learning", "prisma"])
def test_settings_that_could_change_results_are_refused_by_name(tmp_path, peer, settings):
    write_peer(tmp_path, peer, tensors(lengths=False))
    readers = {
        "sae_lens": ("a/cfg.json", lambda: sae_lens.read(tmp_path / "a")),
        "sparsify": ("cfg.json", lambda: sparsify.read(tmp_path)),
        "dictionary_learning": ("config.json", lambda: dictionary_learning.read(tmp_path)),
        "prisma": ("config.json", lambda: prisma.read(tmp_path / "weights.pt")),
    }
    name, read = readers[peer]
    read()  # control
    config = json.loads((tmp_path / name).read_text())
    part = config["trainer"] if peer == "dictionary_learning" else config
    part |= settings
    (tmp_path / name).write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match=f"{next(iter(settings))} = .*guesswork"):
        read()


@pytest.mark.parametrize("part", ["header", "cfg", "activation", "params"])
def test_unknown_settings_of_saev_are_refused_wherever_they_stand(tmp_path, part):
    w = tensors()
    state = {n: w[n] for n in ("W_enc", "b_enc", "W_dec", "b_dec")}
    header = {"schema": 5, "cfg": {"activation": {"cls": "Relu", "params": {"sparsity": {}}}}}
    saev.read(write_saev(tmp_path / "sae.pt", header, state))  # control
    parts = {"header": header, "cfg": header["cfg"], "activation": header["cfg"]["activation"]}
    (parts | {"params": parts["activation"]["params"]})[part]["leak"] = 0.1
    with pytest.raises(ArtifactError, match=r"leak = 0\.1"):
        saev.read(write_saev(tmp_path / "sae.pt", header, state))


@pytest.mark.parametrize("activation", ["relu", "topk", "jumprelu", "gated", "batchtopk"])
def test_our_own_layers_are_sae_lens_folders(tmp_path, activation):
    saes = {name: random_sae(3, 8, 16, activation, k=4).eval() for name in ("block_01", "block_02")}
    with torch.no_grad():
        for sae in saes.values():
            for name in ("threshold", "r_mag", "b_mag"):
                if hasattr(sae, name):
                    getattr(sae, name).copy_(torch.rand(getattr(sae, name).shape))
    saved = parts(saes=saes).save(tmp_path / "a", dtype="float32")
    x = torch.randn(30, 8)
    expected = saes["block_01"](x)
    for again in (Artifact.load(saved).sae("block_01"), sae_lens.read(saved / "block_01")):
        torch.testing.assert_close(again(x), expected)
        assert again.k == 4
    resaved = Artifact.load(saved).save(tmp_path / "b", dtype="float32")
    assert (resaved / "hsae.json").read_bytes() == (saved / "hsae.json").read_bytes()


def test_sparsify_there_and_back(tmp_path):
    sae = Artifact.load(GOLDEN / "schema_1").sae("block_01")
    again = sparsify.read(sparsify.write(sae, tmp_path / "layers.1"))
    for a, b in zip(sae.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert again.k == sae.k
    with pytest.raises(InputError, match="relu"):
        sparsify.write(Artifact.load(GOLDEN / "schema_1").sae("block_02"), tmp_path / "no")


@pytest.mark.parametrize(
    "cfg", [{}, {"activation": "groupmax"}, {"transcode": True}, {"skip_connection": True}, {"d_in": 7}]
)
def test_sparsify(tmp_path, cfg):
    w = tensors(lengths=False)
    save_file({"encoder.weight": w["W_enc"].T.contiguous(), "encoder.bias": w["b_enc"], "W_dec": w["W_dec"],
               "b_dec": w["b_dec"]}, tmp_path / "sae.safetensors")  # fmt: skip
    (tmp_path / "cfg.json").write_text(json.dumps({"activation": "topk", "k": K, "d_in": D} | cfg))
    if cfg:
        with pytest.raises(ArtifactError, match=str(*cfg)):
            sparsify.read(tmp_path)
    else:
        assert_same(sparsify.read(tmp_path), naive(w, "topk"))


def dictionary_state(name: str, w) -> dict[str, torch.Tensor]:
    linear = {"encoder.weight": w["W_enc"].T, "encoder.bias": w["b_enc"], "decoder.weight": w["W_dec"].T}
    plain = {n: w[n] for n in ("W_enc", "b_enc", "W_dec", "b_dec")}
    buffers = {"k": torch.tensor(K, dtype=torch.int32), "threshold": torch.tensor(0.5)}
    gated = {"gate_bias": w["b_enc"], "mag_bias": w["b_mag"], "r_mag": w["r_mag"], "decoder_bias": w["b_dec"]}
    del (no_bias := dict(linear))["encoder.bias"]
    return {
        "AutoEncoder": linear | {"bias": w["b_dec"]},
        "AutoEncoderNew": linear | {"decoder.bias": w["b_dec"]},
        "AutoEncoderTopK": linear | {"b_dec": w["b_dec"]} | buffers,
        "BatchTopKSAE": linear | {"b_dec": w["b_dec"]} | buffers,
        "MatryoshkaBatchTopKSAE": plain | buffers | {"group_sizes": torch.tensor([4, 6])},
        "JumpReluAutoEncoder": plain | {"threshold": w["threshold"]},
        "GatedAutoEncoder": no_bias | gated,
    }[name]


KINDS = {
    "AutoEncoder": "relu", "AutoEncoderNew": "relu", "AutoEncoderTopK": "topk", "BatchTopKSAE": "jumprelu",
    "MatryoshkaBatchTopKSAE": "jumprelu", "JumpReluAutoEncoder": "jumprelu", "GatedAutoEncoder": "gated",
}  # fmt: skip


def write_dictionary(folder, name, state, **trainer):
    torch.save(state, folder / "ae.pt")
    (folder / "config.json").write_text(json.dumps({"trainer": {"dict_class": name} | trainer, "buffer": {}}))
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_dictionary_learning(tmp_path, name):
    w = tensors(lengths=name != "AutoEncoderTopK")
    expected = w | ({"threshold": torch.tensor(0.5)} if "BatchTopK" in name else {})
    sae = dictionary_learning.read(write_dictionary(tmp_path, name, dictionary_state(name, w)))
    centred = name not in ("AutoEncoderNew", "JumpReluAutoEncoder")
    assert_same(sae, naive(expected, KINDS[name], centred=centred))


def test_dictionary_learning_that_contradicts_itself_is_refused(tmp_path):
    state = dictionary_state("AutoEncoderTopK", tensors(lengths=False))
    with pytest.raises(ArtifactError, match="k = 3"):
        dictionary_learning.read(write_dictionary(tmp_path, "AutoEncoderTopK", state, k=4))
    with pytest.raises(ArtifactError, match="dict_class"):
        dictionary_learning.read(write_dictionary(tmp_path, "IdentityDict", state))
    with pytest.raises(ArtifactError, match=r"unknown.*extra"):
        dictionary_learning.read(write_dictionary(tmp_path, "AutoEncoderTopK", state | {"extra": torch.ones(1)}))


def write_saev(path, header, state):
    with path.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        torch.save(state, file)
    return path


@pytest.mark.parametrize("threshold", [0.5, 0.0, -1.0])
def test_saev(tmp_path, threshold):
    w = tensors()
    state = {n: w[n] for n in ("W_enc", "b_enc", "W_dec", "b_dec")}
    for schema, cfg in ((5, {"activation": {"cls": "Relu", "params": {}}}), (1, {})):
        header = {"schema": schema, "cls": "Relu", "cfg": cfg}
        sae = saev.read(write_saev(tmp_path / "sae.pt", header, state))
        assert_same(sae, naive(w, "relu", centred=False))
    header = {"schema": 5, "cfg": {"activation": {"cls": "BatchTopK", "params": {"top_k": K}}}}
    state["activation.threshold"] = torch.tensor(threshold)
    expected = naive(w | {"threshold": torch.tensor(max(0, threshold))}, "jumprelu", centred=False)
    assert_same(saev.read(write_saev(tmp_path / "sae.pt", header, state)), expected)


@pytest.mark.parametrize(
    "header",
    [
        {"schema": 5, "cfg": {"activation": {"cls": "TopK", "params": {"top_k": 3}}}}, {"d_vit": 6, "exp_factor": 2},
        {"schema": 6, "cfg": {}}, {"schema": 5, "cfg": {"activation": "Relu"}}, [], 7, {"schema": [5], "cfg": {}},
    ],
)  # fmt: skip
def test_saev_that_is_not_kept_exactly_is_refused(tmp_path, header):
    w = tensors()
    state = {n: w[n] for n in ("W_enc", "b_enc", "W_dec", "b_dec")}
    with pytest.raises(ArtifactError, match="guesswork"):
        saev.read(write_saev(tmp_path / "sae.pt", header, state))


@pytest.mark.parametrize("kind", ["relu", "topk"])
def test_prisma(tmp_path, kind):
    w = tensors(lengths=kind == "relu")
    torch.save({n: w[n] for n in ("W_enc", "b_enc", "W_dec", "b_dec")}, tmp_path / "weights.pt")
    config = {"normalize_activations": "none", "activation_fn_str": kind, "activation_fn_kwargs": {"k": K}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert_same(prisma.read(tmp_path / "weights.pt"), naive(w, kind))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ArtifactError, match="layer_norm"):
        prisma.read(tmp_path / "weights.pt")


@pytest.mark.parametrize("kind", ["relu", "topk", "jumprelu"])
def test_overcomplete(tmp_path, kind):
    w = tensors(lengths=False) | {"b_dec": torch.zeros(D)}
    state = {"encoder.final_block.0.weight": w["W_enc"].T, "encoder.final_block.0.bias": w["b_enc"],
             "dictionary._weights": w["W_dec"], "dictionary.multiplier": torch.tensor(0.3)}  # fmt: skip
    if kind == "jumprelu":
        state["thresholds"] = w["threshold"].log()
    torch.save(state, tmp_path / "sae.pt")
    expected = naive(w | {"W_dec": w["W_dec"] * torch.tensor(0.3).exp()}, kind)
    assert_same(overcomplete.read(tmp_path / "sae.pt", kind, k=K), expected)
    torch.save(state | {"dictionary._weights": w["W_dec"] * 2}, tmp_path / "sae.pt")
    with pytest.raises(ArtifactError, match="unit rows"):
        overcomplete.read(tmp_path / "sae.pt", kind, k=K)


class Evil:
    """Unpickled by an unsafe reader, it would make a file."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_no_code_runs_and_nothing_expands(tmp_path):
    w = tensors(lengths=False)
    state = dictionary_state("AutoEncoder", w)
    write_dictionary(tmp_path, "AutoEncoder", state)
    good = (tmp_path / "ae.pt").read_bytes()
    hostile = {
        "code": lambda p: torch.save(state | {"x": Evil(tmp_path / "proof")}, p),
        "bare pickle": lambda p: p.write_bytes(pickle.dumps(Evil(tmp_path / "proof"))),
        "configuration object": lambda p: torch.save({"cfg": Evil(tmp_path / "proof"), "state_dict": state}, p),
        "nested": lambda p: torch.save({"state_dict": state}, p),
        "a list": lambda p: torch.save([1], p),
        "stretched": lambda p: torch.save(state | {"encoder.bias": torch.zeros(1).expand(10**9)}, p),
        "integers": lambda p: torch.save(state | {"bias": torch.zeros(D, dtype=torch.int64)}, p),
        "NaN": lambda p: torch.save(state | {"bias": torch.full((D,), torch.nan)}, p),
        "cut": lambda p: p.write_bytes(good[:500]),
        "empty": lambda p: p.write_bytes(b""),
        "compressed": lambda p: squeeze(good, p),
    }
    for name, write in hostile.items():
        write(tmp_path / "ae.pt")
        with pytest.raises(ArtifactError):
            dictionary_learning.read(tmp_path)
        assert not (tmp_path / "proof").exists(), name
    (tmp_path / "ae.pt").write_bytes(good)
    dictionary_learning.read(tmp_path)  # control


def squeeze(content: bytes, path) -> None:
    """The same archive with compressed entries, as a bomb would have."""
    (path.parent / "plain.zip").write_bytes(content)
    with zipfile.ZipFile(path.parent / "plain.zip") as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))


def test_the_golden_layer_is_read_like_any_other():
    expected = make_artifact().sae("block_02")
    again = sae_lens.read(GOLDEN / "schema_1" / "block_02")
    assert torch.equal(again.W_enc, expected.W_enc)

"""Read and write SAEs of eai-sparsify: DIR/cfg.json and DIR/sae.safetensors."""

from __future__ import annotations

from pathlib import Path

from hsae.artifacts.convert.build import assemble, choose, read_config, refuse, take
from hsae.artifacts.convert.safe import read_safetensors
from hsae.artifacts.tensors import write_tensors
from hsae.atomic import atomic_path, write_json
from hsae.errors import InputError
from hsae.sae.model import SparseAutoencoder

_NAMES = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "W_dec", "b_dec": "b_dec"}
_ALLOWED = {
    "activation": ("topk",),
    **dict.fromkeys(
        ("batch_topk", "embed_skip", "gram_lookup", "sample_topk", "signed", "skip_connection", "transcode"), (False,)
    ),
}
_IGNORED = "d_in dtype expansion_factor gram_table_hash k lookup_max_order multi_topk normalize_decoder num_latents"
"""How it was trained, or looked at; what gram_lookup would use plays no part without it."""


def read(folder: str | Path) -> SparseAutoencoder:
    """The SAE in a folder: f = topk(relu((x - b_dec) W^T + b)); ArtifactError for transcoders and groupmax."""
    folder = Path(folder)
    cfg = read_config(folder / "cfg.json")
    choose(cfg, folder / "cfg.json", _ALLOWED, _IGNORED)
    weights = folder / "sae.safetensors"
    state = read_safetensors(weights)
    tensors = take(state, weights, _NAMES)
    if cfg.get("d_in") != tensors["b_dec"].numel():
        raise refuse(
            folder / "cfg.json", f"d_in = {cfg.get('d_in')!r:.40}", f"{tensors['b_dec'].numel()}, as b_dec has"
        )
    tensors["W_enc"] = tensors["W_enc"].T
    return assemble(folder, tensors, "topk", cfg.get("k", 32), stored=state["W_dec"].dtype)


def write(sae: SparseAutoencoder, folder: str | Path) -> Path:
    """Write a TopK SAE as a folder that `SparseCoder.load_from_disk` opens; InputError for other variants."""
    if not sae.variant.competes:
        raise InputError(f"a {sae.activation} SAE", "topk, the only one of ours that sparsify has")
    cfg = {
        "activation": "topk", "expansion_factor": max(1, sae.d_sae // sae.d_in), "normalize_decoder": True,
        "num_latents": sae.d_sae, "k": sae.k, "multi_topk": False, "skip_connection": False, "transcode": False,
        "d_in": sae.d_in,
    }  # fmt: skip
    tensors = {"encoder.weight": sae.W_enc.T, "encoder.bias": sae.b_enc, "W_dec": sae.W_dec, "b_dec": sae.b_dec}
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        write_tensors(temporary / "sae.safetensors", {name: tensor.float() for name, tensor in tensors.items()})
        write_json(temporary / "cfg.json", cfg)
    return Path(folder)

"""Read SAEs of saev: one line of JSON, then a state dict by torch.save, in one file (checkpoint/sae.pt)."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from hsae.artifacts.convert.build import assemble, choose, read_pickle, refuse, take
from hsae.sae.model import SparseAutoencoder

_NAMES = {"W_enc": "W_enc", "b_enc": "b_enc", "W_dec": "W_dec", "b_dec": "b_dec"}
_SCHEMAS = (1, 2, 3, 4, 5)
_MAX_HEADER = 2**16
_IGNORED = {
    "header": "schema cls cfg commit lib",
    "cfg": "activation d_model d_sae d_vit exp_factor ghost_grads l1_coeff n_reinit_samples normalize_w_dec "
    "reinit_blend reinit_enc_dec_tranpose remove_parallel_grads seed sparsity_coeff top_k use_ghost_grads",
    "activation": "cls params",
    "params": "aux key momentum sparsity top_k",
}
"""Settings of how it was trained, or that are looked at: of the header and of the objects in it."""


def read(path: str | Path) -> SparseAutoencoder:
    """The SAE in a checkpoint: f = act(x W_enc + b_enc), b_dec is not subtracted.

    ReLU, and BatchTopK by its threshold. TopK is refused, since saev's keeps negative latents; so are checkpoints
    without a schema number, which were made for another formula.
    """
    path = Path(path)
    if not path.is_file():
        raise refuse(path, "no such file", "a checkpoint of saev")
    with path.open("rb") as file:
        line, rest = file.readline(_MAX_HEADER), file.read()
    header = _header(line, path)
    kind = _activation(header, path)
    state = read_pickle(path, io.BytesIO(rest))
    tensors = take(state, path, _NAMES, ("activation.threshold",))
    stored = state["W_dec"].dtype
    if kind == "Relu":
        return assemble(path, tensors, "relu", stored=stored, centred=False)
    threshold = state.get("activation.threshold")
    if threshold is None or threshold.numel() != 1:
        raise refuse(path, "no single number activation.threshold", "the threshold that training leaves")
    tensors["threshold"] = threshold.float().reshape(()).expand(len(tensors["b_enc"]))
    return assemble(path, tensors, "jumprelu", stored=stored, centred=False)


def _header(line: bytes, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise refuse(path, f"no line of JSON at its start ({type(error).__name__})", "a checkpoint of saev") from error
    if not isinstance(header, dict) or header.get("schema") not in _SCHEMAS or not isinstance(header.get("cfg"), dict):
        schema = header.get("schema") if isinstance(header, dict) else header
        raise refuse(path, f"schema {schema!r:.40}", f"a checkpoint of schema {', '.join(map(str, _SCHEMAS))}")
    return header


def _activation(header: dict[str, Any], path: Path) -> str:
    """Relu or BatchTopK; the first checkpoints of schema 1 name it in the header itself."""
    activation = header["cfg"].get("activation")
    params = activation.get("params") if isinstance(activation, dict) else None
    for name, part in (("header", header), ("cfg", header["cfg"]), ("activation", activation), ("params", params)):
        if isinstance(part, dict):
            choose(part, path, {}, _IGNORED[name])
    kind = activation.get("cls") if isinstance(activation, dict) else header.get("cls")
    if kind not in ("Relu", "BatchTopK"):
        raise refuse(path, f"activation {kind!r:.40}", "Relu or BatchTopK")
    return kind

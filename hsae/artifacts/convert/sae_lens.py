"""Read SAEs of SAELens 6: DIR/cfg.json and DIR/sae_weights.safetensors. (Our layer folders are such SAEs already.)"""

from __future__ import annotations

from pathlib import Path

from hsae.artifacts.convert.build import assemble, choose, read_config, refuse, take
from hsae.artifacts.convert.safe import read_safetensors
from hsae.artifacts.index import CFG, WEIGHTS
from hsae.sae.model import SparseAutoencoder
from hsae.sae.variants import Activation

_COMMON = {"W_enc": "W_enc", "b_enc": "b_enc", "W_dec": "W_dec", "b_dec": "b_dec"}
_ARCHITECTURES: dict[str, tuple[Activation, dict[str, str]]] = {  # our activation function, tensors
    "standard": ("relu", _COMMON),
    "topk": ("topk", _COMMON),
    "jumprelu": ("jumprelu", _COMMON | {"threshold": "threshold"}),
    "gated": ("gated", _COMMON | {"b_enc": "b_gate", "b_mag": "b_mag", "r_mag": "r_mag"}),
}
_ALLOWED = {
    "architecture": ("standard", *_ARCHITECTURES),
    "normalize_activations": ("none",),
    "reshape_activations": ("none",),
    "apply_b_dec_to_input": (True, False),
    "rescale_acts_by_decoder_norm": (False, True),
    "use_error_term": (False,),
}
_IGNORED = (
    "aux_loss_coefficient d_in d_sae decoder_init_norm device dtype jumprelu_bandwidth jumprelu_init_threshold "
    "jumprelu_sparsity_loss_mode jumprelu_ste_to_input jumprelu_tanh_scale k l0_coefficient l0_warm_up_steps "
    "l1_coefficient l1_warm_up_steps lp_norm metadata pre_act_loss_coefficient target_l0 "
    "use_sparse_activations"
)  # how it was trained, on what; metadata is free text but for the version and our own k


def read(folder: str | Path) -> SparseAutoencoder:
    """The SAE in a folder; ArtifactError for architectures and input normalisations that have no exact counterpart."""
    folder = Path(folder)
    cfg = read_config(folder / CFG)
    _check_version(cfg, folder / CFG)
    choose(cfg, folder / CFG, _ALLOWED, _IGNORED)
    architecture = cfg.get("architecture", "standard")
    activation, names = _ARCHITECTURES[architecture]
    state = read_safetensors(folder / WEIGHTS)
    tensors = take(state, folder / WEIGHTS, names)
    if cfg.get("rescale_acts_by_decoder_norm"):
        if activation != "topk":
            raise refuse(folder / CFG, f"rescale_acts_by_decoder_norm with {architecture}", "it with topk alone")
        lengths = tensors["W_dec"].norm(dim=1).clamp_min(1e-30)  # it chooses by z |w|, as after folding
        tensors |= {"W_enc": tensors["W_enc"] * lengths, "b_enc": tensors["b_enc"] * lengths}
        tensors["W_dec"] = tensors["W_dec"] / lengths[:, None]
    centred = cfg.get("apply_b_dec_to_input", True)
    return assemble(folder, tensors, activation, _k(cfg), stored=state["W_dec"].dtype, centred=centred)


def _k(cfg: dict) -> int:
    """k of TopK; for the others what our own folders remember of it."""
    metadata = cfg.get("metadata")
    remembered = metadata.get("k") if isinstance(metadata, dict) else None
    return cfg.get("k") or (remembered if isinstance(remembered, int) else None) or 1


def _check_version(cfg: dict, where: Path) -> None:
    metadata = cfg.get("metadata")
    version = str(metadata.get("sae_lens_version")) if isinstance(metadata, dict) else ""
    major = version.split(".")[0]
    if not (major.isdecimal() and int(major) >= 6):
        raise refuse(where, f"sae_lens_version {version!r:.40}", "6.0.0 or newer: before, keys had other meanings")

"""Read SAEs of dictionary_learning: trainer_0/config.json and trainer_0/ae.pt (a bare state dict)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from hsae.artifacts.convert.build import assemble, choose, read_config, read_pickle, refuse, take
from hsae.sae.model import SparseAutoencoder
from hsae.sae.variants import Activation

_LINEAR = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight"}
_PLAIN = {"W_enc": "W_enc", "b_enc": "b_enc", "W_dec": "W_dec", "b_dec": "b_dec"}
_GATED = {"b_dec": "decoder_bias", "b_enc": "gate_bias", "b_mag": "mag_bias", "r_mag": "r_mag"}
_BUFFERS = ("k", "threshold")
_IGNORED = (
    "activation_dim anneal_start auxk_alpha bandwidth decay_start device dict_size group_fractions group_sizes "
    "group_weights k l1_penalty layer lm_name lr n_sparsity_updates p_end p_start resample_steps seed "
    "sparsity_function sparsity_penalty sparsity_queue_length sparsity_warmup_steps steps submodule_name target_l0 "
    "threshold_beta threshold_start_step top_k_aux trainer_class wandb_name warmup_steps"
)  # how it was trained, on what; `k` is compared with the one in ae.pt
# activation, tensors, tensors handled apart, whether the encoder subtracts b_dec
_CLASSES: dict[str, tuple[Activation, dict[str, str], tuple[str, ...], bool]] = {
    "AutoEncoder": ("relu", _LINEAR | {"b_dec": "bias"}, (), True),
    "AutoEncoderNew": ("relu", _LINEAR | {"b_dec": "decoder.bias"}, (), False),
    "AutoEncoderTopK": ("topk", _LINEAR | {"b_dec": "b_dec"}, _BUFFERS, True),
    "BatchTopKSAE": ("jumprelu", _LINEAR | {"b_dec": "b_dec"}, _BUFFERS, True),
    "MatryoshkaBatchTopKSAE": ("jumprelu", _PLAIN, (*_BUFFERS, "group_sizes"), True),
    "JumpReluAutoEncoder": ("jumprelu", _PLAIN | {"threshold": "threshold"}, (), False),
    "GatedAutoEncoder": ("gated", _GATED | {"W_enc": "encoder.weight", "W_dec": "decoder.weight"}, (), True),
}


def read(folder: str | Path) -> SparseAutoencoder:
    """The SAE in a trainer's folder, as it answers at inference; batch top-k becomes its threshold, as there."""
    folder = Path(folder)
    config = read_config(folder / "config.json")
    choose(config, folder / "config.json", {}, "trainer buffer")
    trainer = config.get("trainer")
    if not isinstance(trainer, dict):
        raise refuse(folder / "config.json", "no object `trainer`", "the settings that dictionary_learning saves")
    choose(trainer, folder / "config.json", {"dict_class": (None, *_CLASSES)}, _IGNORED)
    if trainer.get("dict_class") is None:
        raise refuse(folder / "config.json", "no dict_class", f"one of {', '.join(_CLASSES)}")
    activation, names, apart, centred = _CLASSES[trainer["dict_class"]]
    state = read_pickle(folder / "ae.pt")
    tensors = take(state, folder / "ae.pt", names, apart)
    for name in ("W_enc", "W_dec"):
        if names[name].endswith(".weight"):
            tensors[name] = tensors[name].T
    k = 1
    if "k" in apart:
        k = _k(state, trainer, folder)
    if activation == "jumprelu" and "threshold" in apart:
        tensors["threshold"] = _number(state, "threshold", folder).float().expand(len(tensors["b_enc"]))
    return assemble(folder, tensors, activation, k, stored=state[names["W_dec"]].dtype, centred=centred)


def _k(state: dict[str, Tensor], trainer: dict[str, Any], folder: Path) -> int:
    stored = int(_number(state, "k", folder))
    if trainer.get("k", stored) != stored:
        raise refuse(folder, f"k = {stored} in ae.pt and {trainer['k']!r:.40} in config.json", "the same in both")
    return stored


def _number(state: dict[str, Tensor], name: str, folder: Path) -> Tensor:
    if name not in state or state[name].numel() != 1:
        raise refuse(folder / "ae.pt", f"no single number {name}", "the buffer that training leaves")
    return state[name].reshape(())

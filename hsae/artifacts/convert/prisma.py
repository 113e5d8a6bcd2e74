"""Read SAEs of ViT-Prisma: weights.pt (or n_images_N.pt) as a bare state dict, with config.json beside it."""

from __future__ import annotations

from pathlib import Path

from hsae.artifacts.convert.build import assemble, choose, read_config, read_pickle, refuse, take
from hsae.sae.model import SparseAutoencoder
from hsae.sae.variants import VARIANTS

_NAMES = {"W_enc": "W_enc", "b_enc": "b_enc", "W_dec": "W_dec", "b_dec": "b_dec"}
_ALLOWED = {
    "architecture": ("standard", "vanilla"),
    "activation_fn_str": ("relu", "topk"),
    "normalize_activations": ("layer_norm", "none", None),  # its default; refused below
    "is_transcoder": (False,),
}


def read(path: str | Path) -> SparseAutoencoder:
    """The SAE in a weights file: f = act((x - b_dec) W_enc + b_enc).

    Refused: layer norm on the input (their default), because it depends on the input and no weights can hold it;
    files that pickle their configuration object along, because only tensors are unpickled.
    """
    path = Path(path)
    where = path.parent / "config.json"
    config = read_config(where)
    choose(config, where, _ALLOWED)
    norm = config.get("normalize_activations", "layer_norm")
    if norm == "layer_norm":
        raise refuse(where, "normalize_activations = 'layer_norm' (or not stated)", "none")
    activation = config.get("activation_fn_str", "relu")
    kwargs = config.get("activation_fn_kwargs")
    k = kwargs.get("k", 0) if VARIANTS[activation].competes and isinstance(kwargs, dict) else 1
    return assemble(path, take(read_pickle(path), path, _NAMES), activation, k)

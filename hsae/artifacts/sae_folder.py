"""A layer's SAE on disk: cfg.json and sae_weights.safetensors, as SAELens 6 reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from hsae.artifacts.defects import broken, require
from hsae.artifacts.files import VerifiedFiles
from hsae.artifacts.index import CFG, MAX_D_SAE, WEIGHTS, Index, Layer
from hsae.artifacts.strangers_json import check_plain, is_count, read_document
from hsae.artifacts.tensors import DTYPES, read_tensors, size_limit, write_tensors
from hsae.atomic import write_json
from hsae.errors import ArtifactError
from hsae.sae.model import SparseAutoencoder
from hsae.sae.variants import VARIANTS, Activation

Dtype = Literal["float16", "float32"]
SAELENS_VERSION = "6.0.0"  # of the format; below it SAELens would rename keys
ROW_TOLERANCE = 1e-2  # on the length of decoder rows; float16 moves it by less than 1e-3
_MAX_CFG_BYTES = 2**18
_READ_AS = {variant.saelens: name for name, variant in VARIANTS.items() if variant.opens_as is None}


def write_sae(folder: Path, sae: SparseAutoencoder, layer: Layer, index: Index, dtype: str) -> None:
    """Write the two files of a layer; ArtifactError when a weight does not fit in `dtype`."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.to(getattr(torch, dtype)) for name, tensor in _stored(sae).items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ArtifactError(
                f"{name} of {layer.name} has values {dtype} cannot hold", do='Save with dtype="float32"'
            )
    write_tensors(folder / WEIGHTS, tensors)
    write_json(folder / CFG, _cfg(sae, layer, index, dtype))


def read_sae(files: VerifiedFiles, layer: Layer) -> SparseAutoencoder:
    """The SAE of a layer in float32, without gradients; ArtifactError for any deviation from the format."""
    activation, ks, dtype = _read_cfg(files, layer)
    with torch.device("meta"):
        sae = SparseAutoencoder(layer.d_in, layer.d_sae, activation=activation, k=ks[-1], ks=ks)
    path, shapes = layer.file(WEIGHTS), {name: tuple(tensor.shape) for name, tensor in _stored(sae).items()}
    tensors = read_tensors(files.get(path, size_limit(shapes)), path, shapes, dtype)
    ours = {theirs: name for name, theirs in sae.variant.renamed.items()}
    sae.load_state_dict({ours.get(name, name): tensor for name, tensor in tensors.items()}, assign=True)
    return sae.eval().requires_grad_(False)


def read_dtype(files: VerifiedFiles, layer: Layer) -> Dtype:
    """What the weights of a layer are stored in."""
    return _read_cfg(files, layer)[2]


def check_sae(sae: SparseAutoencoder, layer: Layer) -> SparseAutoencoder:
    """The SAE itself, when its weights are finite and its decoder rows have unit length."""
    for name, tensor in sae.named_parameters():
        require(_is_finite(tensor), layer.name, f"NaN or infinity in {name}", "finite weights")
    worst = (sae.W_dec.norm(dim=-1) - 1).abs().max().item()
    expected = f"unit rows within {ROW_TOLERANCE}, so that a latent's value is in the units of the activations"
    require(worst <= ROW_TOLERANCE, layer.name, f"a row of W_dec whose length is {worst:.3g} off 1", expected)
    return sae


def _read_cfg(files: VerifiedFiles, layer: Layer) -> tuple[Any, tuple[int, ...], Dtype]:
    where = layer.file(CFG)
    return _parse_cfg(read_document(files.get(where, _MAX_CFG_BYTES), where, _MAX_CFG_BYTES), where, layer)


def _is_finite(tensor: Tensor) -> bool:
    """The sum is NaN or infinite when any number is, and is quick; where finite ones overflow it, each is looked at."""
    return bool(tensor.sum().isfinite()) or bool(torch.isfinite(tensor).all())


def _stored(sae: SparseAutoencoder) -> dict[str, Tensor]:
    """Tensors by their names in the file; one threshold for all latents (batchtopk) becomes one for each."""
    renamed = sae.variant.renamed
    tensors = {renamed.get(name, name): tensor.detach() for name, tensor in sae.state_dict().items()}
    return {name: tensor if tensor.ndim else tensor.expand(sae.d_sae) for name, tensor in tensors.items()}


def _cfg(sae: SparseAutoencoder, layer: Layer, index: Index, dtype: str) -> dict[str, Any]:
    metadata = {
        "sae_lens_version": SAELENS_VERSION,
        "sae_lens_training_version": None,
        "model_name": index.backbone["id"],
        "hook_name": layer.name,
        "image_size": index.backbone["image_size"],
        "token": index.backbone["token"],
        "dataset": index.dataset["id"],
        "k": sae.k,
        "weights_dtype": dtype,
    }
    if len(sae.ks) > 1:
        metadata["ks"] = list(sae.ks)
    return {**_fixed_cfg(sae.activation, sae.k), "d_in": layer.d_in, "d_sae": layer.d_sae, "metadata": metadata}


def _fixed_cfg(activation: Activation, k: int) -> dict[str, Any]:
    """The keys whose values follow from the activation function; dtype is what SAELens computes in."""
    variant = VARIANTS[activation]
    sparsity = {"k": k, "rescale_acts_by_decoder_norm": False} if variant.competes else {}
    return {
        "architecture": variant.saelens,
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "dtype": "float32",
        "device": "cpu",
        **sparsity,
    }


def _parse_cfg(cfg: Any, where: str, layer: Layer) -> tuple[Any, tuple[int, ...], Dtype]:
    """Activation function, k (with nested k all of them, the largest last) and dtype of the weights."""
    check_plain(cfg, where)
    metadata = cfg.get("metadata") if isinstance(cfg, dict) else None
    if not isinstance(metadata, dict):
        raise broken(where, "no object with metadata", "the keys of SAELens 6")
    architecture, k = cfg.get("architecture"), metadata.get("k")
    dtype: Any = metadata.get("weights_dtype")
    if not isinstance(architecture, str) or architecture not in _READ_AS:
        raise broken(where, f"architecture {architecture!r:.80}", f"one of {', '.join(sorted(_READ_AS))}")
    activation = _READ_AS[architecture]
    most = layer.d_sae if VARIANTS[activation].competes else MAX_D_SAE
    if not is_count(k, 1, most):
        raise broken(where, f"metadata k {k!r:.40}", f"1 to {most}")
    ks = metadata.get("ks", [k])
    nested = (
        isinstance(ks, list) and all(is_count(each, 1, k) for each in ks) and sorted(set(ks)) == ks and ks[-1:] == [k]
    )
    if not nested:
        raise broken(where, f"metadata ks {ks!r:.80}", f"rising numbers up to k, {k}")
    if dtype not in DTYPES.values():
        raise broken(where, f"metadata weights_dtype {dtype!r:.40}", "float16 or float32")
    expected = {**_fixed_cfg(activation, k), "d_in": layer.d_in, "d_sae": layer.d_sae, "metadata": metadata}
    got, wanted = (json.dumps(value, sort_keys=True) for value in (cfg, expected))  # as text, 1 and true differ
    require(got == wanted, where, f"{got:.800}", wanted)
    return activation, tuple(ks), dtype

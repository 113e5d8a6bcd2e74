"""From a peer's tensors to our SAE, exactly or not at all: what all readers share."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from hsae.artifacts.index import MAX_D_IN, MAX_D_SAE
from hsae.artifacts.strangers_json import is_count, read_document
from hsae.errors import ArtifactError
from hsae.sae.model import SparseAutoencoder
from hsae.sae.variants import VARIANTS, Activation

EVEN = 1e-4  # how far lengths of decoder rows in single precision may differ
_STORED = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_MAX_CONFIG = 2**20


def refuse(where: object, got: str, expected: str) -> ArtifactError:
    """The error for what cannot be kept exactly."""
    do = "It is not converted by guesswork; export it from the library it comes from in a form that can be kept"
    return ArtifactError(f"{where}: {got}", expected, do)


def read_config(path: Path) -> dict[str, Any]:
    """A peer's JSON settings."""
    if not path.is_file():
        raise refuse(path, "no such file", "the settings beside the weights")
    config = read_document(path, str(path), _MAX_CONFIG)
    if not isinstance(config, dict):
        raise refuse(path, f"a {type(config).__name__}", "an object")
    return config


def choose(config: Mapping[str, Any], where: object, allowed: Mapping[str, tuple[Any, ...]], ignored: str) -> None:
    """Refuse settings with values other than the allowed ones; the first stands for a missing key.

    ignored: names of settings, with spaces between them, that change nothing in what a trained SAE answers, or that
    the reader looks at itself. Any other is refused, since it might.
    """
    for key, values in allowed.items():
        value = config.get(key, values[0])
        if value not in values or type(value) not in map(type, values):
            raise refuse(where, f"{key} = {value!r:.80}", " or ".join(repr(v) for v in values))
    unknown = sorted(set(config) - set(allowed) - set(ignored.split()))
    if unknown:
        got = ", ".join(f"{key} = {config[key]!r:.80}" for key in unknown)
        raise refuse(where, f"settings that are not known here: {got:.400}", "none that could change what it answers")


def read_pickle(path: Path, file: IO[bytes] | None = None) -> dict[str, Tensor]:
    """The state dict that torch.save wrote: tensors only, no other object is ever unpickled, nothing may expand."""
    if not path.is_file():
        raise refuse(path, "no such file", "a state dict written by torch.save")
    try:
        with zipfile.ZipFile(file or path) as packed:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in packed.infolist()):
                raise refuse(path, "a compressed archive", "what torch.save writes")
        if file is not None:
            file.seek(0)
        state = torch.load(file or path, map_location="cpu", weights_only=True)
    except ArtifactError:
        raise
    except Exception as error:  # torch.load has no one kind of error for broken and for forbidden content
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise refuse(path, f"not loadable with weights_only=True ({reason:.200})", "a state dict of tensors") from error
    return _tensors(state, path)


def _tensors(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise refuse(path, "a pickle that holds more than tensors", "a bare state dict")
    if sum(tensor.numel() * tensor.element_size() for tensor in state.values()) > path.stat().st_size:
        raise refuse(path, "tensors larger than the file", "tensors that are stored in full")
    return state


def take(tensors: Mapping[str, Tensor], where: object, names: Mapping[str, str], ignored: tuple[str, ...] = ()) -> dict:
    """Tensors under our names {ours: theirs}, as float32; any other than these and the ignored ones is refused."""
    missing, extra = sorted(set(names.values()) - set(tensors)), sorted(set(tensors) - {*names.values(), *ignored})
    if missing or extra:
        got = f"tensors missing: {missing!s:.200}; unknown: {extra!s:.200}"
        raise refuse(where, got, f"exactly {', '.join(sorted(names.values()))}")
    for name in names.values():
        if tensors[name].dtype not in _STORED:
            raise refuse(where, f"{name} of type {tensors[name].dtype}", "numbers in half, single or double precision")
    return {ours: tensors[theirs].detach().float() for ours, theirs in names.items()}


@torch.no_grad()
def assemble(
    where: object,
    tensors: dict[str, Tensor],
    activation: Activation,
    k: int = 1,
    *,
    stored: torch.dtype,
    centred: bool = True,
) -> SparseAutoencoder:
    """The SAE with these tensors (W_enc `[d_in, d_sae]`, W_dec `[d_sae, d_in]`, ...) and unit decoder rows.

    Latents are rescaled with the decoder: z |w| (w / |w|) = z w. stored: what the decoder is stored in; what it makes
    of unit rows stays as it is. centred: whether the encoder subtracts b_dec; else b_enc takes it up:
    x W + b = (x - b_dec) W + (b + b_dec W).
    """
    variant = VARIANTS[activation]
    _check(where, tensors, activation, k)
    lengths = _lengths(where, tensors["W_dec"], activation, rounding(stored))
    if not centred:
        shift = tensors["b_dec"] @ tensors["W_enc"]
        changed = variant.shift(tensors, shift) if variant.shift else {}
        tensors |= {"b_enc": tensors["b_enc"] + shift, **changed}
    for name in ("W_enc", *variant.scaled):
        tensors[name] = tensors[name] * lengths
    tensors["W_dec"] = tensors["W_dec"] / lengths[:, None]
    d_sae, d_in = tensors["W_dec"].shape
    with torch.device("meta"):
        sae = SparseAutoencoder(d_in, d_sae, activation, k)
    sae.load_state_dict({name: tensor.contiguous() for name, tensor in tensors.items()}, assign=True)
    return sae.eval().requires_grad_(False)


def rounding(stored: torch.dtype) -> float:
    """How far numbers stored so may take the lengths of unit rows from 1: 1e-3 in float16, 8e-3 in bfloat16."""
    return max(EVEN, torch.finfo(stored).eps)


def _lengths(where: object, decoder: Tensor, activation: Activation, close: float) -> Tensor:
    """What decoder rows are divided by: 1 when they are unit rows but for rounding, else how long they are.

    Under TopK that is one length for all, as another for each would change which latents are chosen.
    """
    lengths = decoder.norm(dim=1)
    if not (lengths > 0).all():
        raise refuse(where, f"{int((lengths == 0).sum())} decoder rows of zeros", "rows that point somewhere")
    if (lengths - 1).abs().max() <= close:
        return torch.ones_like(lengths)
    if not VARIANTS[activation].competes:
        return lengths
    mean = lengths.mean()
    if (lengths / mean - 1).abs().max() > close:
        raise refuse(where, "decoder rows of different lengths under TopK", "equally long rows")
    return mean.expand_as(lengths)


def _check(where: object, tensors: Mapping[str, Tensor], activation: Activation, k: int) -> None:
    """Shapes follow from W_dec; sizes are bounded; every number is finite."""
    shape = tuple(tensors["W_dec"].shape)
    if len(shape) != 2 or not (is_count(shape[0], 1, MAX_D_SAE) and is_count(shape[1], 1, MAX_D_IN)):
        raise refuse(where, f"a decoder of shape {shape}", "[d_sae, d_in]")
    d_sae, d_in = shape
    for name, tensor in tensors.items():
        expected = {"W_enc": (d_in, d_sae), "W_dec": shape, "b_dec": (d_in,)}.get(name, (d_sae,))
        if tuple(tensor.shape) != expected or not torch.isfinite(tensor).all():
            got = f"{name} of shape {tuple(tensor.shape)}, finite: {bool(torch.isfinite(tensor).all())}"
            raise refuse(where, got, f"finite numbers of shape {expected}")
    if VARIANTS[activation].competes and not is_count(k, 1, d_sae):
        raise refuse(where, f"k = {k!r:.40}", f"1 to {d_sae}")

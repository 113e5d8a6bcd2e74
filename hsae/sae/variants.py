"""The SAE variants: one row of VARIANTS is all that distinguishes a kind of SAE, in training, on disk and for peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from hsae.sae.activation_fns import Jump, above, batch_cut, batch_topk, gated, grouped_topk, relu, topk
from hsae.sae.losses import Penalty, gate_reconstruction, l0_target, l1, no_penalty
from hsae.sae.objective import Objective
from hsae.sae.outcome import GradientStep
from hsae.sae.threshold_step import SparseReLUStep, jump_step
from hsae.sae.topk_step import TopKStep
from hsae.sae.weights import Weights

Activation = Literal["relu", "topk", "batchtopk", "jumprelu", "gated", "coarse_fine"]


@dataclass(frozen=True)
class Variant:
    """What distinguishes one kind of SAE."""

    activate: Callable[[Weights, Tensor], Tensor]
    """(sae, pre-activations) -> latents, both `[..., d_sae]`."""
    saelens: str
    """Name of the architecture in SAELens 6, under which it is stored."""
    opens_as: Activation | None = None
    """The variant that a stored one is opened as; None: itself."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Our name of a tensor to SAELens's, where they differ."""
    penalty: Penalty = no_penalty
    weight: Literal["l1", "l0"] | None = None
    """The setting that weighs the penalty."""
    learned: tuple[str, ...] = ()
    """Names of further parameters `[d_sae]`, starting at 0."""
    saved: tuple[str, ...] = ()
    """Names of buffers, one number each, starting at 0."""
    calibrated: tuple[str, ...] = ()
    """Names of buffers `[d_sae]`, set after training."""
    scaled: tuple[str, ...] = ("b_enc",)
    """Names of what grows with the latents when the input is scaled, or with one latent when its row is."""
    uses_k: bool = True
    """k is the number of active latents per token: at most, on average, or as a target."""
    competes: bool = False
    """A trained SAE still takes k latents per token: k belongs to it, and its decoder rows must be equally long."""
    lifts: bool = False
    """Dead latents have no positive pre-activation, so that AuxK reads them without their bias."""
    demand: Callable[[Weights, Tensor], None] | None = None
    """Makes all latents demand so much more before they fire: an untrained SAE starts as sparse as it shall be, and one
    is moved to its target."""
    steered: bool = False
    """Training moves these demands until k latents per token are active."""
    shift: Callable[[Mapping[str, Tensor], Tensor], dict[str, Tensor]] | None = None
    """(tensors by name, pre-activations to add `[d_sae]`) -> what changes besides b_enc."""
    step: Callable[[Objective], GradientStep | None] | None = None
    """The training step by hand, for a CPU; None, or where it gives None: autograd."""
    settings: tuple[str, ...] = ()
    """Settings of SAEConfig that only some variants have, this one among them."""
    refit: bool = False
    """The latents kept are not those that the decoder was trained with, or too small: it is refitted afterwards."""
    clusters: bool = False
    """A first group of which one latent fires starts at the centroids of k-means, since that is what it becomes."""
    whiten: float = 0.0
    """Exponent of the partial whitening of the input that it is trained behind."""

    @property
    def independent(self) -> bool:
        """Whether each latent of a trained SAE decides alone, so that latents can be scaled one by one."""
        return not (self.competes or self.saved)


def _relu(sae: Weights, pre: Tensor) -> Tensor:
    return relu(pre)


def _topk(sae: Weights, pre: Tensor) -> Tensor:
    return topk(pre, sae.k)


def _batch_topk(sae: Weights, pre: Tensor) -> Tensor:
    """Over the batch while training, which moves the saved threshold; by the threshold afterwards."""
    if not sae.training:
        return above(pre, sae.threshold)
    cut = batch_cut(pre, sae.k, sae.processes)
    now, weight = sae.threshold, torch.where(sae.threshold > 0, 0.01, 1.0).to(sae.threshold)
    now.copy_(torch.where(torch.isfinite(cut), torch.lerp(now, cut.to(now), weight), now))
    return batch_topk(pre, cut)


def _coarse_fine(sae: Weights, pre: Tensor) -> Tensor:
    """The k largest of each group while training; by the thresholds that were set afterwards."""
    return grouped_topk(pre, sae.groups) if sae.training else above(pre, sae.threshold)


def _jump(sae: Weights, pre: Tensor) -> Tensor:
    return Jump.apply(pre, sae.threshold, sae.window)


def _gated(sae: Weights, pre: Tensor) -> Tensor:
    return gated(pre, sae.b_enc, sae.r_mag, sae.b_mag)


def _lower_biases(sae: Weights, amount: Tensor) -> None:
    sae.b_enc.sub_(amount)


def _raise_threshold(sae: Weights, amount: Tensor) -> None:
    sae.threshold.add_(amount)


def _shift_magnitude(tensors: Mapping[str, Tensor], shift: Tensor) -> dict[str, Tensor]:
    return {"b_mag": tensors["b_mag"] + shift * tensors["r_mag"].exp()}


VARIANTS: dict[Activation, Variant] = {
    "relu": Variant(
        _relu,
        saelens="standard",
        penalty=l1,
        weight="l1",
        uses_k=False,
        lifts=True,
        demand=_lower_biases,
        step=SparseReLUStep,
        settings=("l0_target",),
        refit=True,
    ),
    "topk": Variant(
        _topk,
        saelens="topk",
        competes=True,
        step=TopKStep,
        settings=("ks", "k_weights"),
    ),
    "batchtopk": Variant(
        _batch_topk,
        saelens="jumprelu",
        opens_as="jumprelu",
        saved=("threshold",),
        scaled=("b_enc", "threshold"),
        demand=_raise_threshold,
    ),
    "jumprelu": Variant(
        _jump,
        saelens="jumprelu",
        penalty=l0_target,
        weight="l0",
        learned=("threshold",),
        scaled=("b_enc", "threshold"),
        demand=_raise_threshold,
        steered=True,
        step=jump_step,
    ),
    "gated": Variant(
        _gated,
        saelens="gated",
        renamed={"b_enc": "b_gate"},
        penalty=gate_reconstruction,
        weight="l1",
        learned=("r_mag", "b_mag"),
        scaled=("b_enc", "b_mag"),
        uses_k=False,
        lifts=True,
        demand=_lower_biases,
        shift=_shift_magnitude,
        settings=("l0_target",),
        refit=True,
    ),
    "coarse_fine": Variant(
        _coarse_fine,
        saelens="jumprelu",
        opens_as="jumprelu",
        calibrated=("threshold",),
        scaled=("b_enc", "threshold"),
        step=TopKStep,
        settings=("groups", "group_weights"),
        refit=True,
        clusters=True,
        whiten=0.25,
    ),
}

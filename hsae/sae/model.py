"""The sparse autoencoder: one class, with a swappable activation function."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor, nn

from hsae.errors import InputError
from hsae.sae.variants import VARIANTS, Activation, Variant


class SparseAutoencoder(nn.Module):
    """z = act((x - b_dec) W_enc + b_enc) ;  x_hat = z W_dec + b_dec.

    W_enc `[d_in, d_sae]`, b_enc `[d_sae]`, W_dec `[d_sae, d_in]` (unit rows), b_dec `[d_in]`; some variants have more
    (`threshold`, or `r_mag` and `b_mag`). Latents are in the units of the activations: a latent's value is how far it
    moves x along its unit decoder row. `ks`: the numbers of active latents that it was trained to reconstruct with, of
    which k is the largest; `groups`: (size, active latents) of each group in training (coarse_fine).
    """

    window = 0.2
    """Width around a learned threshold in which pre-activations give it a gradient (jumprelu)."""

    processes = 1
    """Processes that each train on a share of every batch."""

    threshold: Tensor
    r_mag: nn.Parameter
    b_mag: nn.Parameter

    def __init__(
        self,
        d_in: int,
        d_sae: int,
        activation: Activation = "topk",
        k: int = 32,
        *,
        ks: tuple[int, ...] = (),
        groups: tuple[tuple[int, int], ...] = (),
    ) -> None:
        super().__init__()
        self.d_in, self.d_sae, self.activation, self.k = d_in, d_sae, activation, k
        self.ks, self.groups = ks or (k,), groups
        if self.variant.uses_k and k > d_sae:
            raise InputError(f"k {k} with d_sae {d_sae}", "k no larger than d_sae")
        self.W_enc = nn.Parameter(torch.zeros(d_in, d_sae))
        self.b_enc = nn.Parameter(torch.zeros(d_sae))
        self.W_dec = nn.Parameter(torch.zeros(d_sae, d_in))
        self.b_dec = nn.Parameter(torch.zeros(d_in))
        for name in self.variant.learned:
            self.register_parameter(name, nn.Parameter(torch.zeros(d_sae)))
        for name in self.variant.saved:
            self.register_buffer(name, torch.zeros(()))
        for name in self.variant.calibrated:
            self.register_buffer(name, torch.zeros(d_sae))

    @property
    def variant(self) -> Variant:
        """Its row of the table; not kept in the module, whose state is numbers and names."""
        return VARIANTS[self.activation]

    def pre_activation(self, x: Tensor) -> Tensor:
        """(x - b_dec) W_enc + b_enc: `[..., d_in]` to `[..., d_sae]`."""
        if x.shape[-1] != self.d_in:
            raise InputError(f"activations of width {x.shape[-1]}", f"{self.d_in}", "Use this layer's SAE.")
        return (x - self.b_dec) @ self.W_enc + self.b_enc

    def activate(self, pre: Tensor) -> Tensor:
        """Pre-activations to latents, both `[..., d_sae]`."""
        return self.variant.activate(self, pre)

    def encode(self, x: Tensor) -> Tensor:
        """Activations `[..., d_in]` to latents `[..., d_sae]`, all >= 0."""
        return self.activate(self.pre_activation(x))

    def encode_topk(self, x: Tensor, k: int | None = None) -> tuple[Tensor, Tensor]:
        """The sparse form: values and indices `[..., k]` of the k largest latents, in falling order (0 = silent)."""
        k = min(k or self.k, self.d_sae)
        values, indices = torch.topk(self.encode(x), k, dim=-1)
        return values, indices

    def with_k(self, k: int) -> SparseAutoencoder:
        """The same weights with another k of those that it was trained to reconstruct with (`ks`)."""
        if k not in self.ks or not self.variant.competes:
            known = ", ".join(map(str, self.ks)) if self.variant.competes else "none: this SAE decides by thresholds"
            raise InputError(f"k {k}", known, "Leave k out to have the SAE as it was trained.")
        other = copy(self)
        other.k = k
        return other

    def decode(self, z: Tensor) -> Tensor:
        """Latents `[..., d_sae]` to reconstructed activations `[..., d_in]`."""
        return z @ self.W_dec + self.b_dec

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction `[..., d_in]` and latents `[..., d_sae]`."""
        z = self.encode(x)
        return self.decode(z), z

    @torch.no_grad()
    def normalise_decoder(self) -> None:
        """Scale decoder rows to unit length; the encoder is left alone, so call it after each optimiser step."""
        self.W_dec.div_(self.W_dec.norm(dim=-1, keepdim=True).clamp_min(1e-12))

    @torch.no_grad()
    def scale_latents(self, factor: Tensor) -> None:
        """Make all biases and thresholds `factor` times as large: z(factor x) = factor z(x) with the old ones at x."""
        for name in self.variant.scaled:
            getattr(self, name).mul_(factor)

    @torch.no_grad()
    def take_decoder(self, rows: Tensor) -> None:
        """Decode by `rows [d_sae, d_in]`, whose lengths the latents take over: z |w| (w / |w|) = z w.

        Only where each latent decides alone; the largest k of scaled latents would be others.
        """
        lengths = rows.norm(dim=-1).clamp_min(1e-12)
        self.W_dec.copy_(rows / lengths.unsqueeze(-1))
        for name in ("W_enc", *self.variant.scaled):
            getattr(self, name).mul_(lengths)

    @torch.no_grad()
    def move_origin(self, b_dec: Tensor) -> None:
        """Another b_dec `[d_in]` with the same latents: x W = (x - b) W + b W."""
        shift = (b_dec - self.b_dec) @ self.W_enc
        changed = self.variant.shift(dict(self.named_parameters()), shift) if self.variant.shift else {}
        for name, tensor in changed.items():
            getattr(self, name).copy_(tensor)
        self.b_enc.add_(shift)
        self.b_dec.copy_(b_dec)

    @torch.no_grad()
    def fold_map(self, there: Tensor, back: Tensor) -> None:
        """Turn an SAE of x @ there into the same SAE of x, in place; both `[d_in, d_in]`, inverse to each other."""
        self.W_enc.copy_(there @ self.W_enc)
        self.b_dec.copy_(self.b_dec @ back)
        self.take_decoder(self.W_dec @ back)

    @torch.no_grad()
    def fold_input(self, mean: Tensor, scale: Tensor) -> None:
        """Turn an SAE of (x - mean) / scale into the same SAE of x, in place.

        mean `[d_in]`, scale a positive number. Latents grow by `scale` and decoder rows keep their length:
        scale z = act((x - mean - scale b_dec) W_enc + scale b_enc), exact because act(s a) = s act(a) for s > 0
        when thresholds grow with a.
        """
        self.b_dec.mul_(scale).add_(mean)
        self.scale_latents(scale)

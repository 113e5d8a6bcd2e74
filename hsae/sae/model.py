"""The sparse autoencoder: one class, with a swappable activation function."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hsae.errors import InputError
from hsae.sae.activation_fns import VARIANTS, Activation


class SparseAutoencoder(nn.Module):
    """z = act((x - b_dec) W_enc + b_enc) ;  x_hat = z W_dec + b_dec.

    W_enc `[d_in, d_sae]`, b_enc `[d_sae]`, W_dec `[d_sae, d_in]` (unit rows), b_dec `[d_in]`; some variants have more
    (`threshold`, or `r_mag` and `b_mag`). Latents are in the units of the activations: a latent's value is how far it
    moves x along its unit decoder row.
    """

    window = 0.2
    """Width around a learned threshold in which pre-activations give it a gradient (jumprelu)."""

    processes = 1
    """Processes that each train on a share of every batch."""

    def __init__(self, d_in: int, d_sae: int, activation: Activation = "topk", k: int = 32) -> None:
        super().__init__()
        self.variant = VARIANTS[activation]
        if self.variant.uses_k and k > d_sae:
            raise InputError(f"k {k} with d_sae {d_sae}", "k no larger than d_sae")
        self.d_in, self.d_sae, self.activation, self.k = d_in, d_sae, activation, k
        self.W_enc = nn.Parameter(torch.zeros(d_in, d_sae))
        self.b_enc = nn.Parameter(torch.zeros(d_sae))
        self.W_dec = nn.Parameter(torch.zeros(d_sae, d_in))
        self.b_dec = nn.Parameter(torch.zeros(d_in))
        for name in self.variant.learned:
            self.register_parameter(name, nn.Parameter(torch.zeros(d_sae)))
        for name in self.variant.saved:
            self.register_buffer(name, torch.zeros(()))

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
        for name in ("b_enc", "threshold", "b_mag"):
            if hasattr(self, name):
                getattr(self, name).mul_(factor)

    @torch.no_grad()
    def fold_input(self, mean: Tensor, scale: Tensor) -> None:
        """Turn an SAE of (x - mean) / scale into the same SAE of x, in place.

        mean `[d_in]`, scale a positive number. Latents grow by `scale` and decoder rows keep their length:
        scale z = act((x - mean - scale b_dec) W_enc + scale b_enc), exact because act(s a) = s act(a) for s > 0
        when thresholds grow with a.
        """
        self.b_dec.mul_(scale).add_(mean)
        self.scale_latents(scale)

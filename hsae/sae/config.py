"""What an SAE is and how it is trained, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from hsae.errors import InputError
from hsae.sae.activation_fns import VARIANTS, Activation


@dataclass(frozen=True)
class SAEConfig:
    """Shape, sparsity and objective of the SAEs of a bank; the input width comes from each layer."""

    activation: Activation = "topk"
    """relu, gated: sparsity by the L1 penalty; topk, batchtopk: k latents a token, at most or on average;
    jumprelu: a learned threshold per latent that aims at k."""
    expansion: int = 8
    """d_sae = expansion x d_in, unless d_sae is given."""
    d_sae: int | None = None
    """Number of latents."""
    k: int = 32
    """Latents active per token (topk, batchtopk, jumprelu); relu and gated only start there."""
    l1: float = 1e-3
    """Weight of the mean over tokens of sum |z|, in units where the input has mean square norm d_in (relu, gated)."""
    l0: float = 1.0
    """Weight of (L0 / k - 1)^2 (jumprelu)."""
    prefixes: int = 1
    """Nested prefixes, each half as wide as the next, that must reconstruct alone (Matryoshka); 1: the whole only."""
    auxk: float = 1 / 32
    """Weight of the dead latents' attempt at the error (topk, batchtopk); 0: none."""
    dead_after: int = 100_000
    """Tokens without firing after which a latent counts as dead."""

    def __post_init__(self) -> None:
        if self.activation not in VARIANTS:
            raise InputError(f"activation {self.activation!r}", f"one of {', '.join(VARIANTS)}")
        for name in ("expansion", "k", "d_sae", "prefixes", "dead_after"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} {value}", "a positive number")
        for name in ("l1", "l0", "auxk"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} {getattr(self, name)}", "0 or more")
        if VARIANTS[self.activation].uses_k and self.d_sae is not None and self.k > self.d_sae:
            raise InputError(f"k {self.k} with d_sae {self.d_sae}", "k no larger than d_sae")

    def width(self, d_in: int) -> int:
        """Number of latents for an input width."""
        return self.d_sae or self.expansion * d_in

    def prefix_widths(self, d_sae: int) -> tuple[int, ...]:
        """Latents in each nested prefix, growing, the last one `d_sae`."""
        widths = tuple(d_sae >> halvings for halvings in reversed(range(self.prefixes)))
        if widths[0] < 1:
            raise InputError(f"{self.prefixes} prefixes of {d_sae} latents", "at least one latent in the first")
        return widths


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast a bank is trained, and what is kept on the way."""

    epochs: int = 20
    """Passes over the store."""
    batch_size: int = 1024
    """Tokens per step and process."""
    lr: float = 1e-3
    """Peak learning rate (Adam)."""
    warmup: float = 0.05
    """Share of the steps with rising learning rate."""
    decay: float = 0.3
    """Share of the steps, at the end, over which the learning rate falls to 0."""
    clip: float = 1.0
    """Largest gradient norm per layer."""
    seed: int = 0
    """Of the initial weights and of the order of the tokens."""
    buffer_tokens: int = 65_536
    """Tokens shuffled together; memory is about buffer_tokens x 4 bytes x sum of the layers' widths."""
    resample_every: int = 0
    """Steps between replacing dead latents by badly explained tokens; 0: never."""
    bf16: bool = False
    """Compute in bfloat16, keep the weights in float32."""
    parallel: Literal["data", "layer"] = "data"
    """With several processes: share every batch, or share the layers."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    log_every: int = 50
    """Steps between measured points of the run summary and the trackers."""

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.checkpoint_every, self.log_every) < 1:
            raise InputError(f"training settings {asdict(self)}", "positive epochs, batch_size and intervals")
        if not (self.lr > 0 and self.clip > 0):
            raise InputError(f"lr {self.lr} and clip {self.clip}", "positive numbers")
        if min(self.warmup, self.decay) < 0 or self.warmup + self.decay > 1:
            raise InputError(f"warmup {self.warmup} and decay {self.decay}", "shares with a sum of at most 1")
        if self.parallel not in ("data", "layer"):
            raise InputError(f"parallel {self.parallel!r}", "data or layer")
        if self.resample_every < 0:
            raise InputError(f"resample_every {self.resample_every}", "0 or more")

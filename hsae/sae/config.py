"""What an SAE is and how it is trained, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from typing import Literal

from hsae.errors import InputError
from hsae.sae.frozen import WEIGHTS, Frozen
from hsae.sae.lists import Counts, Groups, Numbers
from hsae.sae.objective import Objective
from hsae.sae.variants import VARIANTS, Activation

RARE = ("ks", "k_weights", "groups", "group_weights", "l0_target")
"""Settings that only those variants have whose rows name them."""


@dataclass(frozen=True)
class SAEConfig:
    """Shape, sparsity and objective of the SAEs of a bank; the input width comes from each layer."""

    activation: Activation = "topk"
    """relu, gated: sparsity by the L1 penalty; topk, batchtopk: k latents per token, at most or on average;
    jumprelu: a learned threshold per latent that aims at k; coarse_fine: so many in each of two groups."""
    expansion: int = 8
    """d_sae = expansion x d_in, unless d_sae is given."""
    d_sae: int | None = None
    """Number of latents."""
    k: int = 32
    """Latents active per token (topk, batchtopk, jumprelu, coarse_fine); relu and gated only start there."""
    ks: Counts = field(default_factory=Counts)
    """Nested k (topk): the strongest 1, 8, ... latents of a token must reconstruct alone too; k is the last of them."""
    k_weights: Numbers = field(default_factory=Numbers)
    """Weights of these reconstructions; default: equal."""
    groups: Groups = field(default_factory=Groups)
    """Coarse and fine (coarse_fine): (size, active latents per token) of each group of latents, each of which must
    reconstruct together with those before it. d_sae and k are the sums. Default: halves, 1 and k - 1 active."""
    group_weights: Numbers = field(default_factory=Numbers)
    """Weights of these reconstructions; default: equal."""
    whiten: float | None = None
    """Train on x (C + 0.03 tr C / d I)^-whiten, C the covariance; folded into the weights afterwards. Default: 0.25 for
    coarse_fine, 0 for the others. Not for topk and batchtopk, whose choice would change."""
    l1: float = 1e-3
    """Weight of the mean over tokens of sum |z|, in units where the input has mean square norm d_in (relu, gated)."""
    l0: float = 1.0
    """Weight of (L0 / k - 1)^2 (jumprelu)."""
    l0_target: float | None = None
    """Active latents per token that the L1 weight is moved to reach, starting at `l1` (relu, gated); None: l1 stays."""
    prefixes: int = 1
    """Nested prefixes, each half as wide as the next, that must reconstruct alone (Matryoshka); 1: the whole only."""
    auxk: float = 1 / 32
    """Weight of the dead latents' attempt at the error; 0: none."""
    refit: Literal["decoder", "scale", "none"] | None = None
    """After training, with the encoder frozen: fit the decoder by least squares, or a scale per latent, or leave both.
    Default: decoder for relu and gated, whose latents an L1 penalty makes too small, and for coarse_fine, where a
    choice gives way to thresholds; none for the others."""
    dead_after: int = 100_000
    """Tokens without firing after which a latent counts as dead."""

    def __post_init__(self) -> None:
        problems = [*self._unknown(), *self._out_of_range()]
        if not problems:
            self._derive()
            problems = list(self._contradictions())
        if problems:
            raise InputError(*(" ; ".join(part) for part in zip(*problems, strict=True)))

    def _unknown(self) -> Iterator[tuple[str, str]]:
        if self.activation not in VARIANTS:
            yield f"activation {self.activation!r}", f"one of {', '.join(VARIANTS)}"
            return
        if self.refit not in (None, "decoder", "scale", "none"):
            yield f"refit {self.refit!r}", "decoder, scale or none"
        for name in RARE:
            if getattr(self, name) and name not in VARIANTS[self.activation].settings:
                takers = ", ".join(key for key, variant in VARIANTS.items() if name in variant.settings)
                yield f"{name} for {self.activation}", f"activation {takers}"

    def _out_of_range(self) -> Iterator[tuple[str, str]]:
        counts = [(name, getattr(self, name)) for name in ("expansion", "k", "d_sae", "prefixes", "dead_after")]
        counts += [("ks", value) for value in self.ks] + [("groups", value) for pair in self.groups for value in pair]
        yield from (
            (f"{name} {value}", "a positive number") for name, value in counts if value is not None and value < 1
        )
        numbers = [(name, getattr(self, name)) for name in ("l1", "l0", "auxk", "whiten")]
        numbers += [("k_weights", value) for value in self.k_weights]
        numbers += [("group_weights", value) for value in self.group_weights]
        if self.l0_target is not None and not self.l0_target > 0:
            yield f"l0_target {self.l0_target}", "a positive number"
        yield from ((f"{name} {value}", "0 or more") for name, value in numbers if value is not None and not value >= 0)

    def _derive(self) -> None:
        """What follows from the nested k or the groups."""
        derived: dict[str, int] = {}
        if self.ks:
            derived["k"] = self.ks[-1]
        if self.groups:
            derived = {"k": sum(active for _, active in self.groups)}
            derived["d_sae"] = self.d_sae or sum(size for size, _ in self.groups)
        for name, value in derived.items():
            object.__setattr__(self, name, value)  # frozen, also for itself

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        variant = VARIANTS[self.activation]
        if variant.uses_k and self.d_sae is not None and self.k > self.d_sae:
            yield f"k {self.k} with d_sae {self.d_sae}", "k no larger than d_sae"
        if self.l0_target and self.d_sae is not None and self.l0_target > self.d_sae:
            yield f"l0_target {self.l0_target} with d_sae {self.d_sae}", "l0_target no larger than d_sae"
        if list(self.ks) != sorted(set(self.ks)):
            yield f"ks {self.ks}", "rising numbers"
        if self.groups and self.d_sae != sum(size for size, _ in self.groups):
            yield f"d_sae {self.d_sae} with groups {self.groups}", "the sum of the groups' sizes"
        if any(active > size for size, active in self.groups):
            yield f"groups {self.groups}", "no more active latents than a group has"
        for parts, weights in (("ks", "k_weights"), ("groups", "group_weights")):
            given = getattr(self, weights)
            if given and (len(given) != (len(getattr(self, parts)) or 2) or not sum(given)):
                yield f"{weights} {given}", f"one for each of the {parts}, not all 0"
        if self.prefixes > 1 and (self.ks or "groups" in variant.settings):
            yield f"{self.prefixes} prefixes with nested k or groups", "one way to divide the latents"
        if not variant.independent and (self.whiten or self.refit in ("decoder", "scale")):
            yield (
                f"whiten {self.whiten}, refit {self.refit} for {self.activation}",
                "a variant with threshold per latent",
            )

    def width(self, d_in: int) -> int:
        """Number of latents for an input width."""
        return self.d_sae or self.expansion * d_in

    def objective(self, d_in: int) -> Objective:
        """What is minimised at an input width."""
        d_sae = self.width(d_in)
        if self.ks:
            return Objective(d_in, d_sae, self.k, (d_sae,), ks=self.ks, weights=_shares(self.k_weights, len(self.ks)))
        if groups := self.groups_of(d_sae):
            sizes, active = zip(*groups, strict=True)
            weights = _shares(self.group_weights, len(groups))
            return Objective(d_in, d_sae, self.k, tuple(accumulate(sizes)), group_ks=active, weights=weights)
        return Objective(d_in, d_sae, self.k, self.prefix_widths(d_sae), weights=_shares((), self.prefixes))

    def groups_of(self, d_sae: int) -> tuple[tuple[int, int], ...]:
        """(size, active latents) of each group of `d_sae` latents; empty for variants without groups."""
        if "groups" not in VARIANTS[self.activation].settings:
            return ()
        half = d_sae // 2
        groups = self.groups or ((half, 1), (d_sae - half, self.k - 1))
        if any(not 0 < active <= size for size, active in groups):
            raise InputError(f"groups {groups}", "at least one active latent in each, and no more than it has")
        return tuple(groups)

    @property
    def whitening(self) -> float:
        """Exponent of the partial whitening of the input; 0: none."""
        return VARIANTS[self.activation].whiten if self.whiten is None else self.whiten

    @property
    def refits(self) -> Literal["decoder", "scale", "none"]:
        """How the decoder is refitted after training."""
        return self.refit or ("decoder" if VARIANTS[self.activation].refit else "none")

    @property
    def target(self) -> float | None:
        """Active latents per token that training aims at; None where nothing but a fixed L1 weight decides."""
        return self.k if VARIANTS[self.activation].uses_k else self.l0_target

    @property
    def finishes(self) -> bool:
        """Whether anything is fitted after training."""
        return self.refits != "none" or self.l0_target is not None or bool(VARIANTS[self.activation].calibrated)

    @property
    def penalty_weight(self) -> float:
        """Weight of the variant's penalty; 0 without one."""
        name = VARIANTS[self.activation].weight
        return getattr(self, name) if name else 0.0

    def prefix_widths(self, d_sae: int) -> tuple[int, ...]:
        """Latents in each nested prefix, growing, the last one `d_sae`."""
        widths = tuple(d_sae >> halvings for halvings in reversed(range(self.prefixes)))
        if widths[0] < 1:
            raise InputError(f"{self.prefixes} prefixes of {d_sae} latents", "at least one latent in the first")
        return widths


def _shares(weights: tuple[float, ...], n: int) -> tuple[float, ...]:
    """The weights of n parts with sum 1; without any, equal ones."""
    weights = tuple(weights) or (1.0,) * n
    return tuple(weight / sum(weights) for weight in weights)


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
    frozen: Frozen = "none"
    """encoder or decoder: this half stays random, a baseline of the trained SAE."""
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
        if self.frozen not in WEIGHTS:
            raise InputError(f"frozen {self.frozen!r}", f"one of {', '.join(WEIGHTS)}")
        if self.frozen != "none" and self.resample_every:
            raise InputError(f"resample_every {self.resample_every} with a frozen {self.frozen}", "0")
        if self.resample_every < 0:
            raise InputError(f"resample_every {self.resample_every}", "0 or more")

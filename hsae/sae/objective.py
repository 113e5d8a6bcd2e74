"""What an SAE of one layer minimises, as numbers: the settings of a bank with the width of a layer filled in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Objective:
    """The shape of an SAE, and the parts of its latents: each must reconstruct together with the parts before it.

    A part is a range of latents (nested prefixes, groups) or, with `ks`, a range of ranks among a token's latents.
    """

    d_in: int
    d_sae: int
    k: int
    widths: tuple[int, ...]
    """Latents up to the end of each part, the last one `d_sae`."""
    ks: tuple[int, ...] = ()
    """Ranks up to the end of each part, the last one k; empty: parts are ranges of latents."""
    group_ks: tuple[int, ...] = ()
    """Active latents in each part, where each has its own number; empty: k among all latents."""
    weights: tuple[float, ...] = (1.0,)
    """Of the parts' losses; their sum is 1."""

    @property
    def columns(self) -> tuple[tuple[int, int], ...]:
        """First latent and end of each range of latents."""
        return tuple(pairwise((0, *self.widths)))

    @property
    def ranks(self) -> tuple[tuple[int, int], ...]:
        """First rank and end of each range of ranks."""
        return tuple(pairwise((0, *self.ks)))

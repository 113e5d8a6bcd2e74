"""An edit of one layer as a short text that fits a link, and the visitor's steps back and forth through such texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from hsae.errors import InputError
from hsae.steering.edits import MAX_PATCHES, Edit, Op, Scope

REACH = 3.0
"""Sliders go from -REACH to REACH, in units of a feature's strong activation (p999)."""
SLIDERS = 8
_OP = re.compile(r"(\d{1,9})~(-?\d{1,2}(?:\.\d{1,2})?)")
_STEPS_KEPT = 50


def read_edit(text: str, n: int) -> dict[int, float]:
    """Amounts by latent of a layer with `n` latents, from 841~1.5_320~-2; InputError for anything else."""
    amounts: dict[int, float] = {}
    for part in text.split("_") if text else ():
        match = _OP.fullmatch(part)
        latent, amount = (int(match[1]), float(match[2])) if match else (n, 0.0)
        if latent >= n or latent in amounts or not 0 < abs(amount) <= REACH:
            raise InputError(
                f"edit {text[:80]!r}", f"feature~amount, joined by _, amounts from -{REACH:g} to {REACH:g}"
            )
        amounts[latent] = amount
    if len(amounts) > SLIDERS:
        raise InputError(f"an edit of {len(amounts)} features", f"{SLIDERS} or fewer")
    return amounts


def write_edit(amounts: Mapping[int, float]) -> str:
    """The inverse of `read_edit`; features at 0 are left out."""
    return "_".join(f"{latent}~{amount:g}" for latent, amount in amounts.items() if amount)


def read_patches(text: str) -> tuple[int, ...]:
    """Patch numbers from 3.4.12; InputError for anything else."""
    parts = text.split(".") if text else []
    good = all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts)
    if not good or len(parts) > MAX_PATCHES or len(set(map(int, parts))) != len(parts):
        raise InputError(f"patches {text[:80]!r}", "different numbers joined by points, e.g. 3.4.12")
    return tuple(map(int, parts))


def as_edit(layer: str, amounts: Mapping[int, float], scope: Scope) -> Edit:
    """The edit that pushes each latent by its amount at the tokens of `scope`."""
    return Edit(layer, tuple(Op(latent, "add", amount) for latent, amount in amounts.items()), scope)


@dataclass(frozen=True)
class Steps:
    """What a visitor did to the edit of one layer: texts to go back to, and to go forward to again."""

    where: tuple[str, str] = ("", "")
    """Model and layer: elsewhere the features are others, so the steps start anew."""
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    moving: frozenset[int] = frozenset()
    """The features the last step changed: dragging on is still the same step."""

    def at(self, model: str, layer: str) -> Steps:
        """These steps if they belong to the layer, else none."""
        return self if self.where == (model, layer) else Steps((model, layer))

    def after(self, old: str, new: str) -> Steps:
        """With the step from one text to another; a step that goes on moving the same features is no new one."""
        if old == new:
            return self
        before, now = (dict(part.split("~") for part in text.split("_") if part) for text in (old, new))
        moved = frozenset(int(key) for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if moved == self.moving and self.past:
            return replace(self, future=())
        return replace(self, past=(*self.past, old)[-_STEPS_KEPT:], future=(), moving=moved)

    def back(self, text: str) -> tuple[str, Steps]:
        """The text before this one, and the steps from there; the same when there is none."""
        if not self.past:
            return text, self
        return self.past[-1], replace(self, past=self.past[:-1], future=(text, *self.future), moving=frozenset())

    def nothing(self, text: str) -> tuple[str, Steps]:
        """No edit any more, which is a step of its own."""
        return "", replace(replace(self, moving=frozenset()).after(text, ""), moving=frozenset())

    def forth(self, text: str) -> tuple[str, Steps]:
        """The text that `back` came from."""
        if not self.future:
            return text, self
        return self.future[0], replace(self, past=(*self.past, text), future=self.future[1:], moving=frozenset())

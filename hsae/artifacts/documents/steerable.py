"""steerable.json: what turning a layer's features makes of photographs; fields in artifacts/README.md."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

from hsae.artifacts.documents.reading import item, listed, place, real, share, within
from hsae.steering.edits import MAX_AMOUNT
from hsae.steering.turning import Moved, Turn

_MOST_IMAGES = 10**6


@dataclass(frozen=True)
class Found:
    """The layer and the amount that turn photographs best, chosen on some photographs and measured on others."""

    turn: Turn
    layer: str
    amount: float
    """In p999 of each latent, above 0."""
    held: int
    """On how many of the `n` photographs that it was not chosen by it did what it should (`turning.held`)."""
    n: int
    moved: Mapping[str, Moved]
    """By node, means over those photographs."""
    photo: str = ""
    """Key of a starter photograph on which it holds; "" where none was found."""
    tried: Sequence[tuple[str, float, int, int]] = ()
    """(layer, amount, held, n) on the photographs that it was chosen by."""

    @property
    def rate(self) -> float:
        """Share of the photographs on which it held."""
        return self.held / self.n


def write_found(found: Found) -> dict[str, Any]:
    """One row of the document, plain JSON."""
    row = {key: value for key, value in asdict(found).items() if key not in ("turn", "moved", "tried")}
    moved = {node: list(astuple(values)) for node, values in found.moved.items()}
    return {**asdict(found.turn), **row, "moved": moved, "tried": [list(one) for one in found.tried]}


def resumed(before: Mapping[str, Any] | None, rules: Mapping[str, Any]) -> dict[str, Any]:
    """A document with these rules, and with the turns measured `before`, if that was under the same ones."""
    same = before is not None and before.get("rules") == rules
    return {"rules": dict(rules), "turns": list(before["turns"]) if before is not None and same else []}


def read_steerable(
    document: Mapping[str, Any] | None, layers: Collection[str], nodes: Collection[str]
) -> tuple[Found, ...]:
    """The turns of a stranger's document, between `nodes` at `layers`; rows that do not fit are left out."""
    rows = (_found(row, layers, nodes) for row in listed(within(document, "turns")))
    return tuple(row for row in rows if row is not None)


def _found(row: Any, layers: Collection[str], nodes: Collection[str]) -> Found | None:
    more, less, layer, photo = (_text(within(row, key)) for key in ("more", "less", "layer", "photo"))
    amount, n = real(within(row, "amount")), place(within(row, "n"), _MOST_IMAGES)
    held = place(within(row, "held"), (n or 0) + 1)
    named = [node for node in (more, less) if node]
    moved = {node: _moved(within(row, "moved", node)) for node in named}
    known = {node: values for node, values in moved.items() if values is not None}
    fits = layer in layers and more != less and set(named) <= set(nodes) and len(known) == len(named)
    if not fits or amount is None or not 0 < amount <= MAX_AMOUNT or not n or held is None:
        return None
    return Found(Turn(more, less), layer, amount, held, n, known, photo)


def _moved(value: Any) -> Moved | None:
    before, after, random, other = (share(item(value, at)) for at in range(4))
    if before is None or after is None or random is None or other is None:
        return None
    return Moved(before, after, random, other)


def _text(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= 200 else ""

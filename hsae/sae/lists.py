"""Lists as settings: from numbers in Python, or from the text of a flag (`--ks 1,8,64 --groups 768:1,768:63`)."""

from __future__ import annotations

from collections.abc import Iterable


class Counts(tuple[int, ...]):
    """Whole numbers, as text separated by commas."""

    def __new__(cls, given: str | Iterable[int] = ()) -> Counts:
        return super().__new__(cls, map(int, _items(given) if isinstance(given, str) else given))


class Numbers(tuple[float, ...]):
    """Numbers, as text separated by commas."""

    def __new__(cls, given: str | Iterable[float] = ()) -> Numbers:
        return super().__new__(cls, map(float, _items(given) if isinstance(given, str) else given))


class Groups(tuple[tuple[int, int], ...]):
    """Groups of latents as (size, active latents per token), as text SIZE:ACTIVE separated by commas."""

    def __new__(cls, given: str | Iterable[tuple[int, int]] = ()) -> Groups:
        pairs = (item.split(":") for item in _items(given)) if isinstance(given, str) else given
        return super().__new__(cls, ((int(size), int(active)) for size, active in pairs))


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]

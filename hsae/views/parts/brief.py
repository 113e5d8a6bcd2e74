"""What a visitor is told of an error: what was sent is not said back at full length."""

from __future__ import annotations

from hsae.errors import HsaeError

_MOST = 300  # characters


def brief(error: HsaeError) -> str:
    """The error's sentences; of what was got at most `_MOST` characters."""
    got = error.got if len(error.got) <= _MOST else f"{error.got[:_MOST]}…"
    return str(HsaeError(got, error.expected, error.do))

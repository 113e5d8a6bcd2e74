"""What Gradio keeps of each session: here no more than the page's own state.

It would keep the configuration of all components too (0.2 MB, 12 ms), for deep links, which this app has none of; and
each call of the API is a session, of which it keeps the last 10 000. So those of pages would be forgotten for them.
"""

from __future__ import annotations

import re
from typing import Any

from gradio.blocks import BlocksConfig
from starlette.types import ASGIApp, Receive, Scope, Send

_ANSWER = re.compile(r".*/gradio_api/call/[^/]+/(?P<event>[0-9a-f]+)/?")


class PageConfig(BlocksConfig):
    """The configuration of the page, of which sessions copy what they need."""

    def __copy__(self) -> BlocksConfig:
        """For a session, which says nothing of how its components are configured."""
        copied = super().__copy__()
        vars(copied)["config_for_block"] = _none
        return copied


def _none(*_: Any) -> dict[str, Any]:
    return {}


class Forgetful:
    """ASGI middleware in Gradio's app: the session of a call of the API ends when its answer was fetched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http" and (answer := _ANSWER.fullmatch(scope["path"])):
                kept = scope["app"].state_holder
                kept.session_data.pop(answer["event"], None)
                kept.time_last_used.pop(answer["event"], None)

"""What the server takes from a request: bodies of bounded size, uploads while there is room, and no unused routes."""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hsae.views.page.upload_folder import ROOM, UploadFolder

MAX_FILE = 20 * 2**20  # bytes of an upload
MAX_BODY = 6 * 2**20  # bytes of any other request
_AROUND_A_FILE = 2**16  # bytes of a form beside the file in it
_AT_ONCE = 60.0  # seconds that an unread upload is left alone when there is no room
_DRAINED = 64 * 2**20  # bytes
_PREFIX = "/gradio_api/"
_UNUSED = ("process_recording", "deep_link", "vibe-", "undo-vibe-", "proxy=", "file=http:", "file=https:")
"""Routes of Gradio that write files, or fetch what an address names, and that the page has no use for."""


class _Refused(Exception):
    """A request that goes on beyond what is taken."""

    def __init__(self, status: int, sentence: str) -> None:
        self.status, self.sentence = status, sentence
        super().__init__(sentence)


class Intake:
    """ASGI middleware before Gradio."""

    def __init__(self, app: ASGIApp, folder: UploadFolder) -> None:
        self._app, self._folder = app, folder
        self._uploads, self._room = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        route = scope["path"].lower().partition(_PREFIX)[2]
        if route.startswith(_UNUSED):
            return await PlainTextResponse("This app has no such address.", 404)(scope, receive, send)
        take = self._take_upload if route.rstrip("/") == "upload" else self._take
        try:
            await take(scope, receive, send)
        except _Refused as refused:
            await _drain(receive)  # or the sender would see a broken connection in place of the sentence
            await PlainTextResponse(refused.sentence, refused.status)(scope, receive, send)
        except ClientDisconnect:
            pass  # the client is gone
        return None

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        too_large = _Refused(413, f"The request exceeds the maximum allowed size of {MAX_BODY // 2**20} MB.")
        _check(scope, MAX_BODY, too_large)
        await self._app(scope, _counted(receive, MAX_BODY, too_large), send)

    async def _take_upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One file, or a few small ones; parts of files that did not arrive whole are deleted."""
        too_large = _Refused(413, f"File size exceeded maximum allowed size of {MAX_FILE // 2**20} MB.")
        most = MAX_FILE + _AROUND_A_FILE
        _check(scope, most, too_large)
        self._make_room(_declared(scope))
        self._uploads += 1
        try:
            await self._app(scope, _counted(self._into_room(receive), most, too_large), send)
        finally:
            self._uploads -= 1
            if not self._uploads:
                self._folder.remove_parts()

    def _make_room(self, wanted: int) -> None:
        self._room = ROOM - self._folder.used()
        if self._room < wanted:
            self._folder.sweep(_AT_ONCE)
            self._room = ROOM - self._folder.used()
        if self._room < wanted:
            raise _full()

    def _into_room(self, receive: Receive) -> Receive:
        async def into_room() -> Message:
            message = await receive()
            self._room -= len(message.get("body", b""))
            if self._room < 0:
                raise _full()
            return message

        return into_room


def _full() -> _Refused:
    return _Refused(507, "There is no room for another photo at the moment. Try again in some minutes.")


def _declared(scope: Scope) -> int:
    """Length of the body as the request states it, 0 when it does not."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _check(scope: Scope, most: int, refused: _Refused) -> None:
    if _declared(scope) > most:
        raise refused


def _counted(receive: Receive, most: int, refused: _Refused) -> Receive:
    """The same, until more than `most` bytes came."""
    left = most

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise refused
        return message

    return counted


async def _drain(receive: Receive) -> None:
    """Let a sender finish, within reason."""
    left, more = _DRAINED, True
    while more and left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        more = message.get("more_body", False)

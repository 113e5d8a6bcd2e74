"""What is served beside the page: tags for link previews, the picture of a link, and one card for an iframe.

All of it is made of a query string, which may be anything: what it does not describe is the first view.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import parse_qsl

import gradio as gr
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hsae.errors import HsaeError
from hsae.views.page.desk import Desk
from hsae.views.page.lanes import Busy, Lane, visitor_of
from hsae.views.page.selection import Selection
from hsae.views.page.state import Choices
from hsae.views.parts.markup import esc
from hsae.views.share.embed import embed_html
from hsae.views.share.picture import SIZE, encoded
from hsae.views.share.preview import plain_poster, poster, preview

PICTURE = "/preview.jpg"
_LONGEST = 2000  # characters of a query that is read
_KEPT = 64  # pictures and cards
_HOST = re.compile(r"[A-Za-z0-9.\-]{1,200}(:\d{1,5})?|\[[0-9a-fA-F:]{2,45}\](:\d{1,5})?")
_GRADIOS = re.compile(rb'<meta\s[^>]*(?:property="og:|name="twitter:)[^>]*>')
_POLICY = {"Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'"}
_SOON = {"Cache-Control": "no-store"}
_LATER = {"Cache-Control": "public, max-age=3600"}


class Shared:
    """Answers for query strings; the latest ones are kept, none of them of an upload, which no link names."""

    def __init__(self, desk: Desk, choices: Choices) -> None:
        self.desk, self.choices = desk, choices
        self._lane = Lane("pictures of links", threads=1, each=8, everybody=24)
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def selection(self, query: str) -> Selection:
        """What a query string describes, as far as this app has it."""
        return self.choices.from_query(dict(parse_qsl(query[:_LONGEST], keep_blank_values=True)))[0]

    def tags(self, query: str, address: str) -> str:
        """Tags for a link; address: of the app, with / at its end."""
        selection = self.selection(query)
        words, link = preview(self.desk, selection), address + self.choices.query(selection)
        picture = address.rstrip("/") + PICTURE + self.choices.query(selection)
        properties = {
            "og:type": "website", "og:title": words.title, "og:description": words.description, "og:url": link,
            "og:image": picture, "og:image:width": SIZE[0], "og:image:height": SIZE[1],
        }  # fmt: skip
        names = {
            "twitter:card": "summary_large_image", "twitter:title": words.title, "twitter:image": picture,
            "twitter:description": words.description,
        }  # fmt: skip
        return "".join(
            f'<meta {kind}="{name}" content="{esc(value)}">'
            for kind, pairs in (("property", properties), ("name", names))
            for name, value in pairs.items()
        )

    async def picture(self, request: Request) -> Response:
        """The picture of a link, JPEG; with the words alone where the backbone is not there."""
        selection = self.selection(request.url.query)
        query = self.choices.query(selection)
        try:
            data = await self._made(request, ("picture", query), lambda: encoded(poster(self.desk, selection)))
            return Response(data, media_type="image/jpeg", headers=_LATER)
        except Busy as error:
            return PlainTextResponse(str(error), 503)
        except HsaeError:
            return Response(encoded(plain_poster(self.desk, selection)), media_type="image/jpeg", headers=_SOON)

    async def card(self, request: Request) -> Response:
        """One feature's card."""
        selection = self.selection(request.url.query)
        query = self.choices.query(selection)
        try:
            made = await self._made(
                request, ("card", query), lambda: embed_html(self.desk, selection, f"./{query}").encode()
            )
        except HsaeError as error:
            return PlainTextResponse(str(error), 503)
        return HTMLResponse(made, headers=_POLICY | _SOON)

    async def _made(self, request: Request, key: tuple[str, str], make: Callable[[], bytes]) -> bytes:
        """Made in the lane, unless it is kept from before and the backbone was there for it."""
        if key not in self._kept:
            made = await self._lane.run(visitor_of(gr.Request(request)), make)
            if self.desk.models.loading:
                return made
            self._kept[key] = made
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]


class Served:
    """ASGI middleware before Gradio."""

    def __init__(self, app: ASGIApp, shared: Shared) -> None:
        self._app, self._shared = app, shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return await self._app(scope, receive, send)
        path, request = scope["path"], Request(scope)
        if path == PICTURE:
            return await (await self._shared.picture(request))(scope, receive, send)
        if path == "/" and request.query_params.get("embed") == "1":
            return await (await self._shared.card(request))(scope, receive, send)
        if path == "/" and scope["method"] == "GET":
            tags = self._shared.tags(request.url.query, address_of(request.headers, scope["scheme"]))
            return await self._app(scope, receive, _with_tags(send, tags.encode()))
        return await self._app(scope, receive, send)


def address_of(headers: Headers, scheme: str) -> str:
    """Where a visitor reached the app; a host that is none is left out, so that nothing else gets into the page."""
    host = headers.get("x-forwarded-host") or headers.get("host", "")
    scheme = headers.get("x-forwarded-proto", scheme)
    known = _HOST.fullmatch(host) and scheme in ("http", "https")
    return f"{scheme}://{host}/" if known else "/"


def _with_tags(send: Send, tags: bytes) -> Send:
    """The same for a page whose head gets other tags; the page is held back until it is whole."""
    start: list[Message] = []
    body = bytearray()

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.append(message)
            return
        body.extend(message.get("body", b""))
        if message.get("more_body", False):
            return
        page, first = bytes(body), start[0]
        headers = Headers(raw=first["headers"])
        if first["status"] == 200 and headers.get("content-type", "").startswith("text/html"):
            page = _GRADIOS.sub(b"", page).replace(b"<head>", b"<head>" + tags, 1)
            kept = [(name, value) for name, value in first["headers"] if name.lower() != b"content-length"]
            first["headers"] = [*kept, (b"content-length", str(len(page)).encode())]
        await send(first)
        await send({"type": "http.response.body", "body": page})

    return sending

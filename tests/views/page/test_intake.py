"""Requests before they reach Gradio: bounded bodies, room for uploads, no leftovers, no unused routes."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from hsae.views.page import intake
from hsae.views.page.intake import MAX_BODY, MAX_FILE, Intake
from hsae.views.page.upload_folder import UploadFolder


@pytest.fixture
def folder(tmp_path):
    made = UploadFolder(tmp_path)
    yield made
    made.close()


def gradio(folder: UploadFolder) -> Starlette:
    """Stores a body as Gradio does: as a part first, which it would rename; says how long other bodies were."""

    async def upload(request: Request) -> PlainTextResponse:
        with tempfile.NamedTemporaryFile(delete=False, dir=folder.path) as part:
            async for chunk in request.stream():
                part.write(chunk)
        return PlainTextResponse("stored")

    async def other(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    return Starlette(
        routes=[
            Route("/gradio_api/upload", upload, methods=["POST"]),
            Route("/{path:path}", other, methods=["GET", "POST"]),
        ],
        middleware=[Middleware(Intake, folder=folder)],
    )


@pytest.fixture
def ask(folder):
    """Asks the app behind the intake: path, body (bytes, or chunks without a stated length) -> response."""
    app = gradio(folder)

    def answer(path: str, body=b"", method: str = "POST") -> httpx.Response:
        async def once() -> httpx.Response:
            async def chunks():
                for chunk in body:
                    yield chunk

            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await client.request(method, path, content=body if isinstance(body, bytes) else chunks())

        return asyncio.run(once())

    return answer


def test_requests_of_usual_size_pass(ask):
    assert ask("/gradio_api/call/classes", bytes(MAX_BODY)).text == str(MAX_BODY)
    assert ask("/", method="GET").status_code == 200
    assert ask("/gradio_api/upload", bytes(MAX_FILE)).status_code == 200


@pytest.mark.parametrize(("path", "most"), [("/gradio_api/call/classes", MAX_BODY), ("/gradio_api/upload", MAX_FILE)])
def test_a_longer_body_is_refused_whether_or_not_its_length_is_stated(ask, folder, path, most):
    megabytes = [bytes(2**20)] * (most // 2**20 + 1)
    for body in (b"".join(megabytes), megabytes):
        answer = ask(path, body)
        assert answer.status_code == 413
        assert f"maximum allowed size of {most // 2**20} MB" in answer.text
    assert list(folder.path.iterdir()) == []


def test_parts_that_nobody_named_are_deleted_with_the_request(ask, folder):
    assert ask("/gradio_api/upload", b"a photo").status_code == 200
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize("stated", [True, False])
def test_when_there_is_no_room_an_upload_gets_a_sentence(ask, folder, monkeypatch, stated):
    monkeypatch.setattr(intake, "ROOM", 2 * 2**20)
    assert ask("/gradio_api/upload", bytes(2**20)).status_code == 200  # control
    unread = folder.path / ("a" * 64) / "unread.png"
    unread.parent.mkdir()
    unread.write_bytes(bytes(3 * 2**19))
    answer = ask("/gradio_api/upload", bytes(2**20) if stated else [bytes(2**19)] * 2)
    assert answer.status_code == 507
    assert "no room for another photo" in answer.text
    assert unread.exists()
    assert ask("/gradio_api/call/classes", bytes(2**20)).status_code == 200


def test_when_there_is_no_room_what_nobody_asked_about_goes_first(ask, folder, monkeypatch):
    monkeypatch.setattr(intake, "ROOM", 2 * 2**20)
    unread = folder.path / ("a" * 64) / "unread.png"
    unread.parent.mkdir()
    unread.write_bytes(bytes(3 * 2**19))
    os.utime(unread, (time.time() - 120,) * 2)
    assert ask("/gradio_api/upload", bytes(2**20)).status_code == 200
    assert not unread.exists()


@pytest.mark.parametrize(
    "route",
    [
        "process_recording", "deep_link", "vibe-edit/", "proxy=http://127.0.0.1", "file=http://127.0.0.1/a.png",
        "file=HTTPS://example.org/a.png", "%66ile=http://127.0.0.1/a.png",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "/behind/a/proxy"])
def test_routes_that_the_page_does_not_use_are_closed(ask, route, before):
    for method in ("GET", "POST"):
        assert ask(f"{before}/gradio_api/{route}", method=method).status_code == 404


@pytest.mark.parametrize("route", ["config", "gradio_api/info", "gradio_api/file=/tmp/x.png", "gradio_api/queue/data"])
def test_control_the_others_are_open(ask, route):
    assert ask(f"/{route}", method="GET").status_code == 200


def test_a_sender_who_leaves_leaves_nothing(folder):
    """httpx cannot leave in the middle, so this speaks ASGI itself."""
    messages = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict:
        return next(messages)

    async def send(message: dict) -> None:
        raise AssertionError(f"nobody is there to get {message}")

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": [], "query_string": b""}
    asyncio.run(gradio(folder)(scope, receive, send))
    assert list(folder.path.iterdir()) == []

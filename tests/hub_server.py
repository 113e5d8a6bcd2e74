"""The server under the Hub on loopback: requests find their handler, are listed, and can be made to fail."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub_store import Refused, Repo, Store


@dataclass(frozen=True)
class Fault:
    """How a request goes wrong: an error status, a wait in seconds before the answer, or a body that breaks off."""

    status: int = 0
    delay: float = 0
    cut: bool = False


@dataclass
class Request:
    """What a handler sees of a request."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    match: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """Status, body and headers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[["HubEmulator", Request], Answer]
_ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(methods: str, pattern: str) -> Callable[[Handler], Handler]:
    """Let a function answer `methods` (separated by |) on paths that match `pattern` as a whole."""

    def add(handler: Handler) -> Handler:
        _ROUTES.append((methods, re.compile(pattern), handler))
        return handler

    return add


class HubEmulator(ThreadingHTTPServer):
    """The server; use it as a context manager."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self.store = Store()
        self.requests: list[tuple[str, str, Mapping[str, str]]] = []
        self.fault: Callable[[str, str], Fault | None] = lambda method, path: None

    def __enter__(self) -> HubEmulator:
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def publish(self, repo_id: str, files: Mapping[str, bytes], kind: str = "models") -> str:
        """Let main be a new commit of exactly `files`; returns the commit."""
        return self.store.repos.setdefault((kind, repo_id), Repo()).commit(dict(files))

    def repo(self, repo_id: str, kind: str = "models") -> Repo:
        return self.store.repos[kind, repo_id]

    def asked(self, method: str, part: str = "") -> list[str]:
        """Paths asked for with a method, as far as they contain `part`."""
        return [path for m, path, _ in self.requests if m == method and part in path]

    def answer(self, request: Request) -> Answer:
        """What the first route that matches says."""
        for methods, pattern, handler in _ROUTES:
            if request.method in methods.split("|") and (match := pattern.fullmatch(request.path)):
                request.match = {name: unquote(text or "") for name, text in match.groupdict().items()}
                return handler(self, request)
        raise Refused(404, "", f"no route for {request.method} {request.path}")


class _Connection(BaseHTTPRequestHandler):
    server: HubEmulator

    def _respond(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, parts.path, parse_qs(parts.query), self.headers, body)
        self.server.requests.append((self.command, unquote(parts.path), self.headers))
        fault = self.server.fault(self.command, unquote(parts.path)) or Fault()
        time.sleep(fault.delay)
        try:
            answer = Answer(status=fault.status) if fault.status else self.server.answer(request)
        except Refused as refused:
            answer = Answer(refused.body, refused.status, refused.headers)
        self._send(answer, fault.cut)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _respond

    def _send(self, answer: Answer, cut: bool) -> None:
        self.send_response(answer.status)
        for name, value in ({"Content-Length": str(len(answer.body))} | dict(answer.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: len(answer.body) // 2] if cut else answer.body)

    def log_message(self, *_: object) -> None:
        pass

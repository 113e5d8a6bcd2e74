"""What the page's own code asks of the server, without a browser."""

from __future__ import annotations

import json
from io import BytesIO
from itertools import count
from typing import Any
from urllib.parse import urlencode

import httpx

from hsae.data.samples import load_samples
from tests.loopback import LOOPBACK


class Refused(Exception):
    """An endpoint gave no answer."""


class PageClient:
    """One open page, at an address of its own."""

    numbers = count()

    def __init__(self, address: str, visitor: int = 0) -> None:
        self.address, self.headers = address.rstrip("/"), coming_from(visitor)
        self.session = f"session{next(self.numbers)}"
        self.toasts: list[str] = []
        """Texts of the warnings that came."""

    def load(self, query: dict[str, str] | None = None) -> dict[str, Any]:
        """The last message about what the page shows first when it is opened by a link with these fields."""
        self._get("/")
        events = self._get("/config").json()["dependencies"]
        number = next(event["id"] for event in events if any(target[1] == "load" for target in event["targets"]))
        asked = {"fn_index": number, "data": [], "session_hash": self.session}
        self._post(f"/gradio_api/queue/join?{urlencode(query or {})}", json=asked)
        answer = self._get(f"/gradio_api/queue/data?session_hash={self.session}")  # which ends with the event
        messages = [json.loads(line.removeprefix("data:")) for line in answer.text.splitlines() if line]
        self.toasts += [message["log"] for message in messages if message["msg"] == "log"]
        return next(message for message in messages if message["msg"] == "process_completed")

    def call(self, name: str, *data: Any) -> str:
        """What an endpoint of the API answers, as text."""
        event = self._post(f"/gradio_api/call/{name}", json={"data": data}).json()["event_id"]
        return self._get(f"/gradio_api/call/{name}/{event}").text

    def answer(self, name: str, *data: Any) -> Any:
        """The same, read; Refused with what the visitor is told instead."""
        event, told = self.call(name, *data).strip().split("\n\n")[-1].split("\n")[:2]  # heartbeats may come before
        if event != "event: complete":
            raise Refused(told.removeprefix("data: "))
        return json.loads(told.removeprefix("data: "))[0]

    def upload(self, name: str, content: bytes) -> dict[str, Any]:
        """A file as the API takes it."""
        path = self._post("/gradio_api/upload", files={"files": (name, content)}).json()[0]
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def _get(self, path: str) -> httpx.Response:
        return LOOPBACK.get(self.address + path, headers=self.headers).raise_for_status()

    def _post(self, path: str, **content: Any) -> httpx.Response:
        return LOOPBACK.post(self.address + path, headers=self.headers, timeout=300, **content).raise_for_status()


def coming_from(number: int) -> dict[str, str]:
    """Headers by which a proxy on this machine says where a request comes from; the app believes it."""
    return {"X-Forwarded-For": f"198.51.100.{number + 1}"}


def starter_png(key: str) -> bytes:
    """A starter photograph as PNG."""
    samples, stream = load_samples("starter"), BytesIO()
    row = [samples.key(row) for row in range(len(samples))].index(key)
    samples.read(row).image.save(stream, "PNG")
    return stream.getvalue()

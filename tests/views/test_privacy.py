"""What visitors upload is gone once it was looked at, and however the server ends: files are counted on its disk."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import numpy as np
import pytest
from PIL import ExifTags, Image

from hsae.views.page import upload_folder
from hsae.views.page.about import text_html
from hsae.views.page.upload_folder import MAX_AGE
from tests.loopback import LOOPBACK
from tests.running_app import app, forked_app, running_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the client's sockets
]

PLACE = b"52 deg 31 min north"
MCP = find_spec("mcp") is not None


@pytest.fixture(scope="module")
def run(artifact, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    artifact.save(folder / "artifact", dtype="float32")
    return folder


@pytest.fixture(scope="module")
def shared_disk(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shared_disk")


@contextmanager
def app_on(disk: Path, run: Path, *arguments: str):
    """Address and process id of an app that has nothing but `disk` for temporary files."""
    options = ("--artifact", str(run), *arguments)
    with running_process(run / f"log_{uuid4().hex}.txt", *options, TMPDIR=str(disk)) as running:
        yield running


def often_swept(arguments: list[str]) -> int:
    """The app, which looks every second for what nobody asks about."""
    upload_folder._SWEEP_EVERY = 1.0
    return app(arguments)


@pytest.fixture(scope="module")
def running(run, shared_disk):
    options = ("--artifact", str(run))
    with forked_app(run / "log.txt", *options, command=often_swept, TMPDIR=str(shared_disk)) as (address, _):
        yield address


def photo(seed: int) -> bytes:
    """A photograph that says where it was taken."""
    exif, stream = Image.Exif(), BytesIO()
    exif[ExifTags.Base.ImageDescription] = PLACE.decode()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8)).save(stream, "JPEG", exif=exif)
    assert PLACE in stream.getvalue()
    return stream.getvalue()


def every_file(disk: Path) -> list[Path]:
    return [path for path in disk.rglob("*") if path.is_file()]


def files(disk: Path) -> list[Path]:
    """But the app's own lock."""
    return [path for path in every_file(disk) if path.parent.name == "files" or path.parent.parent.name == "files"]


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def upload(address: str, content: bytes, name: str = "photo.jpg") -> httpx.Response:
    return LOOPBACK.post(f"{address}gradio_api/upload", files={"files": (name, content)})


def asked(address: str, event: int, data: list[object]) -> str:
    """What an event of the page answers."""
    question = {"data": data, "fn_index": event, "session_hash": uuid4().hex}
    LOOPBACK.post(f"{address}gradio_api/queue/join", json=question).raise_for_status()
    return LOOPBACK.get(f"{address}gradio_api/queue/data", params=question).text


@contextmanager
def half_an_upload(address: str, disk: Path):
    """A sender who stays in the middle of a photograph until the block ends, then leaves."""
    parts = urlsplit(address)
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
    request = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: 100000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    before = len(files(disk))
    with socket.create_connection((parts.hostname, parts.port)) as line:
        line.sendall(request.encode() + head + photo(1) + bytes(20_000))
        wait_until(lambda: len(files(disk)) > before)  # it is on the disk now
        yield


def test_the_api_leaves_no_file(running, shared_disk):
    path = upload(running, photo(2)).json()[0]
    assert files(shared_disk) == [Path(path)]  # control: it was there
    question = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "", "", 1]}
    asking = LOOPBACK.post(f"{running}gradio_api/call/classes", json=question).json()["event_id"]
    assert "probability" in LOOPBACK.get(f"{running}gradio_api/call/classes/{asking}").text
    assert files(shared_disk) == []


def test_the_page_shows_an_upload_again_and_leaves_no_file(running, shared_disk):
    events = LOOPBACK.get(f"{running}config").json()["dependencies"]
    sent = next(event for event in events if event["api_name"] == "upload")
    path = upload(running, photo(3)).json()[0]
    seen = asked(running, sent["id"], [None, None, {"path": path, "meta": {"_type": "gradio.FileData"}}])
    assert '"success":true' in seen
    shows = next(event for event in events if event["outputs"] == sent["inputs"][-1:])
    question = {"data": [None], "fn_index": shows["id"]}
    assert LOOPBACK.post(f"{running}gradio_api/run/{shows['api_name']}", json=question).status_code == 200
    assert files(shared_disk) == []


def test_a_sender_who_leaves_in_the_middle_leaves_no_file(running, shared_disk):
    with half_an_upload(running, shared_disk):
        assert len(files(shared_disk)) == 1  # control
    wait_until(lambda: files(shared_disk) == [])


def test_no_file_name_makes_a_file_stay(running, shared_disk):
    names = ["..", ".", "", "a/..", "../../up.jpg", "x" * 1000 + ".jpg", "lock", "tmp", "plain.jpg"]
    answers = [upload(running, photo(10 + n), name) for n, name in enumerate(names)]
    stored = {Path(path) for answer in answers if answer.status_code == 200 for path in answer.json()}
    assert set(files(shared_disk)) == stored  # whole uploads, nothing of those that were refused
    assert len(stored) >= 5
    for path in stored:
        os.utime(path, (time.time() - MAX_AGE - 1,) * 2)
    wait_until(lambda: files(shared_disk) == [])  # nobody asked about them: the sweep takes them


def test_ctrl_c_leaves_nothing_with_and_without_mcp(run, tmp_path):
    """With --mcp where that can be had: Gradio's own tidying does not come to its end there."""
    with app_on(tmp_path, run, *(["--mcp"] if MCP else [])) as (address, pid):
        upload(address, photo(5)).raise_for_status()
        assert LOOPBACK.get(f"{address}gradio_api/mcp/schema").status_code == (200 if MCP else 404)
        with half_an_upload(address, tmp_path):
            assert len(files(tmp_path)) == 2  # control
            os.kill(pid, signal.SIGINT)
            wait_until(lambda: every_file(tmp_path) == [])
    assert every_file(tmp_path) == []


def test_what_a_killed_server_left_is_deleted_when_it_starts_again_and_sigterm_leaves_nothing(run, tmp_path):
    with forked_app(run / "killed.txt", "--artifact", str(run), TMPDIR=str(tmp_path)) as (address, pid):
        upload(address, photo(6)).raise_for_status()
        with half_an_upload(address, tmp_path):
            os.kill(pid, signal.SIGKILL)
    assert len(files(tmp_path)) == 2  # control: nobody could delete them
    with app_on(tmp_path, run) as (address, pid):
        assert files(tmp_path) == []
        upload(address, photo(7)).raise_for_status()
        with half_an_upload(address, tmp_path):
            assert len(files(tmp_path)) == 2
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: every_file(tmp_path) == [])
    assert every_file(tmp_path) == []


def test_the_page_says_how_long_an_unread_upload_lies():
    assert f"after {MAX_AGE / 60:.0f} minutes" in text_html()
    assert "{" not in text_html()

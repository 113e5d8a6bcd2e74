"""The running app, asked by programs: its public functions, and files from strangers."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from hsae.backbones.registry import load_backbone
from hsae.session import Session
from hsae.steering.edits import Edit
from tests.running_app import ROOT, running_app
from tests.views.conftest import LAYERS, SIDE

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # gradio_client's sockets


@pytest.fixture(scope="module")
def server(artifact, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    artifact.save(run / "artifact", dtype="float32")
    with running_app(run / "log.txt", "--artifact", str(run)) as address:  # a run folder is an artifact too
        yield address, run


@pytest.fixture(scope="module")
def client(server):
    client = Client(server[0], verbose=False, download_files=False)
    yield client
    client.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def session(artifact, photo):
    session = Session(artifact, load_backbone(artifact.backbone["id"], image_size=SIDE))
    session.set_image(Image.open(photo))
    return session


def ask(client: Client, name: str, photo: Path, *more):
    first = ""  # model
    return client.predict(handle_file(photo), first, *more, api_name=name)


def test_classes_and_latents_are_the_sessions(client, photo, session):
    found = ask(client, "/classes", photo, "", 4)
    expected = session.classes(top=4)
    assert [row["wnid"] for row in found] == expected["wnid"].tolist()
    assert [row["probability"] for row in found] == pytest.approx(expected["probability"].tolist(), abs=1e-5)
    active = ask(client, "/latents", photo, LAYERS[1], 3)
    assert [row["latent"] for row in active] == session.latents(LAYERS[1], top=3)["latent"].tolist()
    assert active[0]["q_value"] is None


def test_relevancy_and_steering_are_the_sessions(client, photo, session):
    latent = int(session.latents(LAYERS[1])["latent"][0])
    found = ask(client, "/relevancy", photo, LAYERS[1], latent, "gradient_rollout")
    assert np.array(found["values"]) == pytest.approx(
        session.relevancy(LAYERS[1], latent, "gradient_rollout").values, abs=1e-5
    )
    edit = Edit(LAYERS[1], ({"latent": latent, "mode": "add", "amount": 2.0},))
    moved = ask(client, "/steer", photo, edit.to_json())
    assert moved["probabilities_after"] == pytest.approx(session.steer(edit).probabilities_after.tolist(), abs=1e-5)
    assert moved["probabilities_after"] != moved["probabilities_before"]


@pytest.mark.parametrize(
    ("name", "more", "says"),
    [
        ("/classes", ["block_99", 3], "block_99"), ("/classes", ["", 0], "1 to 1000"),
        ("/relevancy", ["", 10**6, "gradient_rollout"], "latent"), ("/relevancy", ["", 1, "x"], "one of"),
        ("/steer", ["{"], "JSON"),
    ],
)  # fmt: skip
def test_wrong_questions_get_a_sentence(client, photo, name, more, says):
    with pytest.raises(AppError, match=says):
        ask(client, name, photo, *more)


def bomb(width: int, height: int) -> bytes:
    """A small PNG that declares very many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.png", b"hello", "is text"), ("a.png", b"", "empty"), ("a.svg", b"<svg xmlns='x'/>", "SVG"),
        ("a.png", bomb(30_000, 30_000), "million pixels"), ("a.gif", bomb(12_000, 10_000), "million pixels"),
        ("a.png", bomb(64, 64), "broken"), ("a.png", bomb(4, 4), "at least 16 pixels"),
        ("a.png", bomb(20_000, 20), "long side"),
    ],
)  # fmt: skip
def test_files_from_strangers_get_a_sentence(client, tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AppError, match=says) as caught:
        ask(client, "/classes", path, "", 3)
    assert str(tmp_path) not in str(caught.value)
    assert "/tmp" not in str(caught.value)


def test_an_image_inside_the_request_is_refused_with_a_sentence(client, photo):
    inside = {"path": None, "url": "data:image/png;base64,aGVsbG8=", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError, match="Upload it as a file"):
        client.predict(inside, "", "", 3, api_name="/classes")


def test_files_of_the_server_cannot_be_had(client, server):
    inside = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError) as caught:
        client.predict(inside, "", "", 3, api_name="/classes")
    assert "root:" not in str(caught.value)


def test_the_app_still_answers_afterwards(client, photo, server):
    assert len(ask(client, "/classes", photo, "", 2)) == 2
    assert not re.search("Segmentation|MemoryError", (server[1] / "log.txt").read_text())


def run_app(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "app.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("source", ["no/such/folder/here", str(ROOT / "tests")])
def test_a_missing_artifact_is_one_sentence_and_status_1(source):
    done = run_app("--artifact", source)
    assert done.returncode == 1
    assert done.stderr.startswith("hsae: ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_taken_port_is_a_sentence_and_status_1(server):
    port = server[0].rstrip("/").rsplit(":", 1)[1]
    done = run_app("--port", port, "--artifact", str(server[1]))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("hsae: the server cannot start: ")
    assert "Traceback" not in done.stderr

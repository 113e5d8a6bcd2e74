"""Pictures and requests from strangers through the running server: a right answer or a sentence, and little memory."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import pytest
from PIL import Image

from hsae.backbones.registry import load_backbone
from hsae.session import Session
from hsae.steering.edits import Edit
from tests.loopback import LOOPBACK
from tests.views.conftest import LAYERS, SIDE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the client's sockets
]

QUARTERS = np.kron(np.array([[0, 1], [2, 3]]), np.ones((24, 32), int))
COLOURS = np.array([(230, 30, 30), (30, 200, 40), (40, 60, 220), (250, 240, 80)], np.uint8)
GRAYS = np.array([20, 90, 160, 240], np.uint8)
COLOURED, GRAY = Image.fromarray(COLOURS[QUARTERS]), Image.fromarray(GRAYS[QUARTERS])


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, *, whole: bool = True) -> bytes:
    """A black gray PNG, which is small however many pixels it has; not whole: its pixels end after a thousand bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pack = zlib.compressobj(9)
    rows = range(height) if whole else ()
    data = b"".join(pack.compress(bytes(width + 1)) for _ in rows) + pack.compress(b"\0" * (not whole) * 1000)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", data + pack.flush()) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def see_through() -> Image.Image:
    """The fourth quarter of the colours is transparent black, and must be seen as white."""
    image = COLOURED.convert("RGBA")
    image.paste((0, 0, 0, 0), (32, 24, 64, 48))
    return image


def on_white() -> Image.Image:
    """The same on white, in the middle of a white square as every cut-out."""
    square = Image.new("RGB", (64, 64), "white")
    square.paste(COLOURED, (0, 8))
    square.paste("white", (32, 32, 64, 56))
    return square


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(COLOURED.transpose(Image.Transpose.ROTATE_90), exif=exif)


def moving(kind: str, **options) -> bytes:
    return saved(COLOURED, kind, save_all=True, append_images=[GRAY.convert("RGB")], **options)


SEEN: dict[str, tuple[str, Callable[[], bytes], Image.Image]] = {
    "plain": ("a.png", lambda: saved(COLOURED), COLOURED),
    "gray": ("a.png", lambda: saved(GRAY), GRAY),
    "palette and alpha": ("a.png", lambda: saved(see_through().quantize()), on_white()),
    "alpha": ("a.png", lambda: saved(see_through()), on_white()),
    "16 bits": ("a.png", lambda: saved(Image.fromarray(GRAYS[QUARTERS].astype(np.uint16) * 257)), GRAY),
    "CMYK": ("a.tif", lambda: saved(COLOURED.convert("CMYK"), "TIFF"), COLOURED),
    "TIFF": ("a.tiff", lambda: saved(COLOURED, "TIFF"), COLOURED),
    "animated WebP": ("a.webp", lambda: moving("WEBP", lossless=True), COLOURED),
    "animated GIF": ("a.gif", lambda: moving("GIF"), COLOURED),
    "turned by EXIF": ("a.png", turned, COLOURED),
    "PNG named GIF": ("a.gif", lambda: saved(COLOURED), COLOURED),
    "GIF named PNG": ("a.png", lambda: saved(COLOURED, "GIF"), COLOURED),
    "no ending": ("photo", lambda: saved(COLOURED), COLOURED),
    "hostile name": ("<img src=x onerror=alert(1)>.png", lambda: saved(COLOURED), COLOURED),
}  # fmt: skip

REFUSED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "120 million pixels": ("a.png", lambda: png(12_000, 10_000), "at most .* million pixels"),
    "120 million pixels named GIF": ("a.gif", lambda: png(12_000, 10_000), "at most .* million pixels"),
    "900 million pixels": ("a.png", lambda: png(30_000, 30_000, whole=False), "million pixels"),
    "1 x 1": ("a.png", lambda: png(1, 1), "at least 16 pixels a side"),
    "1 x 20000": ("a.png", lambda: png(1, 20_000), "at least 16 pixels a side"),
    "20 x 20000": ("a.png", lambda: png(20, 20_000), "at most 20 times"),
    "SVG": ("a.svg", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "is an SVG"),
    "SVG named PNG": ("a.png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG drawing"),
    "cut short": ("a.png", lambda: saved(COLOURED)[:-40], "broken or cut short"),
    "pixels missing": ("a.png", lambda: png(64, 64, whole=False), "broken or cut short"),
    "text": ("a.png", lambda: b"hello", "is text"),
    "empty": ("a.png", lambda: b"", r"is empty \(0 bytes\)"),
    "zeros": ("a.jpg", lambda: bytes(5000), "unknown format or broken"),
}


@pytest.fixture(scope="module")
def resting(server) -> int:
    """Memory before anything hostile came, in kB; it has answered once, so that all it needs is loaded."""
    assert "probability" in sees(server.address, "a.png", saved(GRAY))
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the most memory ever held is counted from here
    return memory(server.pid, "VmRSS")


@pytest.fixture(scope="module")
def session(artifact) -> Session:
    return Session(artifact, load_backbone(artifact.backbone["id"], image_size=SIDE))


def memory(pid: int, kind: str) -> int:
    return int(re.search(rf"{kind}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1])


def upload(address: str, name: str, content: bytes) -> httpx.Response:
    return LOOPBACK.post(f"{address}gradio_api/upload", files={"files": (name, content)})


def call(address: str, image: object) -> str:
    """What /classes answers, as text; an image as it stands in the request."""
    asked = LOOPBACK.post(f"{address}gradio_api/call/classes", json={"data": [image, "", "", 4]})
    assert asked.status_code == 200
    return LOOPBACK.get(f"{address}gradio_api/call/classes/{asked.json()['event_id']}").text


def file(**parts) -> dict:
    return {**parts, "meta": {"_type": "gradio.FileData"}}


def sees(address: str, name: str, content: bytes) -> str:
    return call(address, file(path=upload(address, name, content).json()[0]))


def inside(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


@pytest.mark.parametrize("case", SEEN)
def test_every_kind_of_picture_is_seen_as_it_looks(server, resting, session, case):
    name, content, looks = SEEN[case]
    session.set_image(looks.convert("RGB"))
    expected = session.classes(top=4).set_index("wnid")["probability"].to_dict()
    for answer in (sees(server.address, name, content()), call(server.address, inside(content()))):
        found = {row["wnid"]: row["probability"] for row in json.loads(answer.split("data: ", 1)[1])[0]}
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_such_picture_gets_a_sentence(server, resting, case):
    name, content, says = REFUSED[case]
    for answer in (sees(server.address, name, content()), call(server.address, file(path=None, url=inside(content())))):
        assert "event: error" in answer
        assert re.search(says, answer)
        assert "/" not in json.loads(answer.split("data: ", 1)[1])["error"]  # no path of the server


IMAGE = "an image"
OTHERS = {"top": 4, "latent": 1, "edit": Edit(LAYERS[1], ({"latent": 1, "mode": "add", "amount": 1.0},)).to_json()}


OF_PATCHES = {"patch_latents", "patch_relevancy", "activation_map"}
"""Questions that the model of this server cannot answer."""


def endpoints(address: str) -> list[dict]:
    """Every event that takes an image, of the API and of the page."""
    config = LOOPBACK.get(f"{address}config").json()
    parts = {
        part["id"]: IMAGE if part["type"] == "image" else part["props"].get("label") for part in config["components"]
    }
    events = (event | {"takes": [parts[part] for part in event["inputs"]]} for event in config["dependencies"])
    return [event for event in events if IMAGE in event["takes"]]


def queued(address: str, event: dict, image: object) -> str:
    """What the browser's way answers: a place in the queue, then the messages of the visitor's session."""
    asked = {"data": arguments(event, image), "fn_index": event["id"], "session_hash": uuid4().hex}
    LOOPBACK.post(f"{address}gradio_api/queue/join", json=asked).raise_for_status()
    answer = ""
    with LOOPBACK.stream("GET", f"{address}gradio_api/queue/data", params=asked) as messages:
        for line in messages.iter_lines():
            answer += line
            if '"process_completed"' in line:
                return answer
    raise AssertionError(f"no answer: {answer}")


def called(address: str, event: dict, image: object) -> str:
    """What curl's way answers."""
    route = f"{address}gradio_api/call/{event['api_name']}"
    asked = LOOPBACK.post(route, json={"data": arguments(event, image)})
    return LOOPBACK.get(f"{route}/{asked.json()['event_id']}").text


def posted(address: str, event: dict, image: object) -> str:
    """What a post past the queue answers."""
    route = f"{address}gradio_api/run/{event['api_name']}"
    return LOOPBACK.post(route, json={"data": arguments(event, image)}).text


def arguments(event: dict, image: object) -> list[object]:
    return [image if label == IMAGE else OTHERS.get(label) for label in event["takes"]]


METAS = {
    "with": {"meta": {"_type": "gradio.FileData"}}, "without": {}, "another": {"meta": {"_type": "x"}},
    "text": {"meta": "gradio.FileData"}, "of a stream": {"meta": {"_type": "gradio.FileData"}, "is_stream": True},
}  # fmt: skip


@pytest.fixture(scope="module")
def server_paths(server, tmp_path_factory) -> dict[str, str]:
    """Paths that open on the server, which nobody uploaded; a link and a directory lie where uploads do."""
    outside = tmp_path_factory.mktemp("outside") / "private.png"
    outside.write_bytes(saved(COLOURED))
    uploaded = Path(upload(server.address, "a.png", b"unread").json()[0])
    link, directory = uploaded.with_name("link.png"), uploaded.with_name("directory.png")
    link.symlink_to(outside)
    directory.mkdir()
    return {
        "image": str(outside), "text": "/etc/passwd", "device": "/dev/ptmx", "endless device": "/dev/zero",
        "relative": "hsae/starter/artifact/hsae.json", "dots": f"{uploaded}/../../../../../../../../..{outside}",
        "link": str(link), "directory": str(directory), "the folder": str(uploaded.parent.parent),
    }  # fmt: skip


def test_no_endpoint_opens_a_file_that_was_not_uploaded_or_waits_for_it(server, session, server_paths):
    taking = endpoints(server.address)
    names = {event["api_name"] for event in taking}
    assert names == {"upload", "classes", "latents", "relevancy", "faithfulness", "steer", *OF_PATCHES}
    answers = {}
    for event in taking:
        everything = event["api_name"] in ("upload", "classes")
        for kind in server_paths if everything else ("image", "device"):
            for meta in METAS if everything else ("with", "without"):
                image = {"path": server_paths[kind], **METAS[meta]}
                answers[event["api_name"], kind, meta] = queued(server.address, event, image)
        for ask in (called, posted):
            for image in (server_paths["image"], {"path": server_paths["image"]}, file(path=server_paths["image"])):
                answers[event["api_name"], ask.__name__, str(image)] = ask(server.address, event, image)
    told = re.compile(r"not among the uploaded files|\"error\": ?null")  # the second by Gradio, before it comes to us
    assert {asked for asked, answer in answers.items() if not told.search(answer)} == set()
    assert "probability" in sees(server.address, "a.png", saved(COLOURED))


def test_control_every_endpoint_opens_what_was_uploaded(server):
    for event in endpoints(server.address):
        path = upload(server.address, "a.png", saved(COLOURED)).json()[0]
        answer = queued(server.address, event, file(path=path))
        assert ('"success":true' in answer) == (event["api_name"] not in OF_PATCHES)
        assert not Path(path).exists(), "also where the model has no features of patches"


def test_whether_a_file_exists_is_not_said(server, server_paths):
    for parts in METAS.values():
        there, missing = (
            call(server.address, {"path": path, **parts}) for path in (server_paths["image"], "/no/such/file.png")
        )
        assert there == missing


@pytest.mark.parametrize(
    "path",
    [
        "http://169.254.169.254/latest/meta-data", "http://127.0.0.1/a.png", "https://example.org/a.png",
        "file:///etc/passwd",
    ],
)  # fmt: skip
def test_no_address_is_fetched(server, path):
    for image in (path, {"path": path}, file(path=None, url=path)):
        assert "came as an address of another server" in call(server.address, image)
    assert "event: error" in call(server.address, file(path=path, url=path))


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "app.py"])
def test_no_route_serves_files_of_the_server(server, path):
    answer = LOOPBACK.get(f"{server.address}gradio_api/file={path}")
    assert answer.status_code in (403, 404)


def test_a_file_that_is_too_large_is_refused(server, resting):
    answer = upload(server.address, "a.png", bytes(21 * 2**20))
    assert answer.status_code == 413
    assert "maximum allowed size" in answer.text
    inside_the_request = LOOPBACK.post(
        f"{server.address}gradio_api/call/classes", json={"data": [inside(bytes(24 * 2**20))]}
    )
    assert inside_the_request.status_code == 413
    assert "Upload it as a file" in call(server.address, inside(bytes(4 * 2**20)))


@pytest.mark.parametrize("name", ["a.svg", "a.html"])
def test_nothing_uploaded_is_served_to_be_run(server, name):
    path = upload(server.address, name, b"<svg onload='alert(1)'/>").json()[0]
    answer = LOOPBACK.get(f"{server.address}gradio_api/file={path}")
    assert answer.headers["content-disposition"].startswith("attachment")


def test_the_server_still_answers_and_never_held_300_mb_more(server, resting):
    assert "probability" in sees(server.address, "a.png", saved(COLOURED))
    assert memory(server.pid, "VmHWM") - resting < 300_000

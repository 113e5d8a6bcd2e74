"""Whatever a visitor sends as a photograph: seen, or answered with a sentence, and its file deleted."""

from __future__ import annotations

import base64
import threading
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from hsae.errors import HsaeError, ImageError, InputError
from hsae.views.page import uploads
from hsae.views.page.upload_folder import upload_folder
from hsae.views.page.uploads import MAX_TEXT, photo_input, read_upload
from hsae.views.parts.say import brief


def encoded(seed: int, kind: str = "PNG", **options) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"))


def inside(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


@pytest.fixture
def sent(request) -> Path:
    """A file as Gradio stores an upload, of content that no other test sends."""
    seed = abs(hash(request.node.name)) % 10**6
    path = upload_folder().path / f"{seed:064x}" / "a photo.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encoded(seed))
    yield path
    path.unlink(missing_ok=True)


FORMS = {
    "path": str,
    "address": lambda path: f"/gradio_api/file={path}",
    "whole address": lambda path: f"https://a.hf.space/gradio_api/file={quote(str(path))}",
    "file data": lambda path: {"path": str(path), "meta": {"_type": "gradio.FileData"}},
    "file data without meta": lambda path: {"path": str(path)},
    "file data with an address": lambda path: {"path": None, "url": f"/gradio_api/file={path}"},
    "text": lambda path: inside(path.read_bytes()),
    "text in file data": lambda path: {"path": None, "url": inside(path.read_bytes())},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_photo_is_seen_however_it_is_sent(sent, form):
    expected = decoded(sent.read_bytes())
    assert np.array_equal(np.asarray(read_upload(FORMS[form](sent))), expected)


def test_the_file_is_deleted_once_it_was_read_and_can_be_asked_about_again(sent):
    first = read_upload(str(sent))
    assert not sent.exists()
    assert np.array_equal(np.asarray(read_upload({"path": str(sent)})), np.asarray(first))


def test_the_file_is_deleted_when_it_is_refused_too(sent):
    sent.write_bytes(b"hello")
    with pytest.raises(ImageError, match="is text"):
        read_upload(str(sent))
    assert not sent.exists()


def test_a_file_is_forgotten_after_others_were_sent(sent, monkeypatch):
    monkeypatch.setattr(uploads, "_LATEST", uploads._Latest(kept=1))
    other = sent.with_name("x").parent.with_name("f" * 64) / "other.png"
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(encoded(1))
    read_upload(str(sent))
    read_upload(str(other))
    with pytest.raises(ImageError, match=r"not among the uploaded files.*Upload it again"):
        read_upload(str(sent))


def test_visitors_who_send_the_same_file_at_once_all_get_it(sent):
    seen, start = [], threading.Barrier(8)

    def ask() -> None:
        start.wait()
        seen.append(read_upload(str(sent)).size)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(60, 40)] * 8


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (None, "no photo"), ("", "no photo"), ({}, "no photo"), ({"path": None}, "no photo"), ([], "came as list"),
        (["/etc/passwd"], "came as list"), (5, "came as int"), (True, "came as bool"), (1.5, "came as float"),
        ({"path": ["/etc/passwd"]}, "came as list"), ({"path": {"path": "/etc/passwd"}}, "came as dict"),
        ("/etc/passwd", "not among"), ("x", "not among"), ("/", "not among"), (".", "not among"), ("\0", "not among"),
        ("/gradio_api/file=/etc/passwd", "not among"), ("/gradio_api/file=", "not among"),
        ({"path": "/etc/passwd", "url": "/gradio_api/file=/etc/passwd"}, "not among"),
        ("http://127.0.0.1/a.png", "another server"), ("file:///etc/passwd", "another server"),
        ("http://x/gradio_api/file=http://127.0.0.1/a.png", "another server"), ("ftp://x/a", "another server"),
        ("data:", "not base64"), ("data:,x", "not base64"), ("data:image/png;base64,!", "not base64"),
        ("data:image/png;base64,", "is empty"), ("data:image/png;base64,aGVsbG8=", "is text"),
        ("data:image/png;base64," + "A" * MAX_TEXT, "at most 4,000,000"),
    ],
)  # fmt: skip
def test_what_is_no_photo_gets_a_sentence(what, says):
    with pytest.raises(ImageError, match=says) as raised:
        read_upload(what)
    assert len(str(raised.value)) < 400
    assert "passwd" not in str(raised.value)


def test_a_shown_photo_is_small_has_no_file_and_no_metadata():
    component = photo_input(gr.Image(render=False))
    exif = Image.Exif()
    exif[0x010E] = "at home"
    photo = Image.open(BytesIO(encoded(0, "JPEG", exif=exif))).resize((2000, 1500))
    assert photo.getexif()  # control
    shown = component.postprocess(photo)
    assert shown.path is None
    picture = Image.open(BytesIO(base64.b64decode(shown.url.partition(",")[2])))
    assert picture.size == (640, 480)
    assert not picture.getexif()
    assert photo.size == (2000, 1500)
    assert component.postprocess(None) is None


def test_what_was_sent_is_said_back_in_part_and_what_to_do_in_full():
    told = brief(InputError("model " + "x" * 10**6, "one of a, b", "Pick one."))
    assert len(told) < 400
    assert told.endswith("Expected one of a, b. Pick one.")
    short = HsaeError("model x", "one of a, b")
    assert brief(short) == str(short)

"""Photographs from strangers: the one way in, whatever they come as, and every refusal is a sentence."""

from __future__ import annotations

import base64
import os
import threading
from collections import OrderedDict
from typing import TypeVar
from urllib.parse import unquote

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image

from hsae.data.open_image import open_image
from hsae.errors import ImageError
from hsae.views.page.upload_folder import MAX_AGE, upload_folder
from hsae.views.parts.charts import image_uri

Component = TypeVar("Component", bound=gr.components.Component)

MIN_SIDE = 16
MAX_TEXT = 4 * 10**6  # characters of a photo inside a request
_SHOWN_SIDE = 640
_ADDRESS = "/gradio_api/file="
_AGAIN = "Upload it again."
_EXAMPLE = image_uri(Image.new("RGB", (MIN_SIDE, MIN_SIDE)))
WHAT_COUNTS = (
    f"A photograph: text data:image/jpeg;base64,... of at most {MAX_TEXT // 10**6} million characters, or the address"
    f" {_ADDRESS}... (or the path in it) of a file sent to /gradio_api/upload before, as the form field \"files\"."
    " Addresses of other servers are not fetched. In gradio_client: handle_file(path)."
)  # fmt: skip


def as_sent(component: Component) -> Component:
    """Let a component hand on what was sent unread, so that the function asked can say what is wrong with it.

    Give the component nothing but values: an update of its properties, even `gr.skip()`, makes a new one without this.
    (A subclass would do, but Gradio writes a stub file beside every subclass.)
    """
    vars(component).update(data_model=None, preprocess=lambda payload: payload)
    return component


def photo_input(component: gr.Image) -> gr.Image:
    """Let an image component hand on what was sent to `read_upload` unread, and show photographs without a file.

    Gradio's own reading opens the file with the format its name claims, trusts a path that comes without "meta",
    downloads addresses, and keeps what it shows on disk.
    """

    async def untouched(path: str) -> str:
        return path

    described = {
        "type": "string", "title": "photograph", "description": WHAT_COUNTS, "additional_description": WHAT_COUNTS,
    }  # fmt: skip
    vars(component).update(
        async_move_resource_to_block_cache=untouched,
        postprocess=_shown,
        api_info=lambda: described,
        example_payload=lambda: _EXAMPLE,
    )
    return as_sent(component)


def read_upload(sent: object) -> Image.Image:
    """The photograph a visitor sent, upright RGB; the file it came in is deleted, whatever it held.

    `sent`: what `WHAT_COUNTS` says, alone or as the path or url of Gradio's file data. The same file may be asked
    about again while its pixels are remembered. Raises ImageError, calling it "The photo", for anything else.
    """
    text = _text(sent)
    if text.startswith("data:"):
        return _decoded(_inside(text))
    path = unquote(text.partition(_ADDRESS)[2]) if _ADDRESS in text else text
    if "://" in path:
        raise ImageError("The photo came as an address of another server", do="Download it, then upload the file.")
    content = upload_folder().content(path)
    if content is None:
        return _LATEST.image(os.path.dirname(path))
    try:
        image = _decoded(content)
        _LATEST.keep(os.path.dirname(path), image)
    finally:
        upload_folder().remove(path)
    return image


class _Latest:
    """The uploads read last, in memory, by the folder that Gradio names after a file's content.

    Two visitors may send the same file at the same time; the one who comes second finds it deleted.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._images: OrderedDict[str, Image.Image] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, folder: str, image: Image.Image) -> None:
        with self._lock:
            self._images[folder] = image
            while len(self._images) > self._kept:
                self._images.popitem(last=False)

    def image(self, folder: str) -> Image.Image:
        with self._lock:
            if folder not in self._images:
                got = "The photo is not among the uploaded files: each is deleted once it was looked at, or after"
                raise ImageError(f"{got} {MAX_AGE / 60:.0f} minutes", do=_AGAIN)
            self._images.move_to_end(folder)
            return self._images[folder]


_LATEST = _Latest(kept=16)


def _text(sent: object) -> str:
    """The path, address or data: text in what was sent."""
    if isinstance(sent, dict):
        sent = sent.get("path") or sent.get("url")
    if sent is None or sent == "":
        raise ImageError("There is no photo", "an uploaded file", "Upload one.")
    if not isinstance(sent, str):
        raise ImageError(f"The photo came as {type(sent).__name__}", "an uploaded file or data:image/... text")
    return sent


def _inside(text: str) -> bytes:
    """The file in a data: text."""
    if len(text) > MAX_TEXT:
        got, do = f"The photo came as a text of {len(text):,} characters", "Upload it as a file."
        raise ImageError(got, f"at most {MAX_TEXT:,}", do)
    head, _, body = text.partition(",")
    try:
        if not head.endswith(";base64"):
            raise ValueError("no base64")
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise ImageError("The photo came as text that is not base64", "data:image/...;base64,...", _AGAIN) from error


def _decoded(content: bytes) -> Image.Image:
    """Upright RGB."""
    return open_image(content, name="The photo", min_side=MIN_SIDE)


def _shown(image: Image.Image | None) -> ImageData | None:
    return None if image is None else as_shown(image)


def as_shown(image: Image.Image) -> ImageData:
    """A photograph inside the answer itself, without a file and without what the upload said beside its pixels."""
    image = image.copy()
    image.thumbnail((_SHOWN_SIDE, _SHOWN_SIDE))
    return ImageData(url=image_uri(image))

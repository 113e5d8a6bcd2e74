"""Photographs from strangers: our own decoder reads them, and every refusal is a sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image

from hsae.data.decode import decode_image
from hsae.errors import HsaeError

MIN_SIDE = 16
MAX_FILE_SIZE = "20mb"


def file_only(component: gr.Image) -> gr.Image:
    """Let an image component hand on the uploaded file unread.

    Gradio's own reading opens the file with the format its name claims, and shows a broken one as a server error.
    Gradio has checked the path before this. Give the component nothing but values: an update of its properties, even
    `gr.skip()`, makes a new one without this.
    """
    keep = component.async_move_resource_to_block_cache

    async def keep_file(path: str) -> str | None:
        if "://" in path:  # Gradio would download it, of any size
            raise gr.Error("The image came as an address. Download it, then upload the file.", print_exception=False)
        return await keep(path)

    # A subclass would do, but Gradio writes a stub file beside every subclass.
    vars(component).update(async_move_resource_to_block_cache=keep_file, preprocess=_path)
    return component


def _path(payload: ImageData | None) -> str | None:
    if payload is None:
        return None
    if payload.path is None:
        raise gr.Error("The image came as text inside the request. Upload it as a file.", print_exception=False)
    return payload.path


def read_upload(path: str | None) -> Image.Image:
    """The uploaded photograph, upright RGB; ImageError, calling it "The photo", for anything else."""
    return decode_image(path or b"", name="The photo", min_side=MIN_SIDE)


def in_words(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose HsaeErrors reach the visitor as sentences."""

    @wraps(function)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except HsaeError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return told

"""Explore artifacts in a browser: where a vision model keeps its concepts."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000")  # else pandas sums all events up after each of them
if "SPACE_ID" in os.environ:  # there a proxy of a private network says whose request it is; uvicorn reads this
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "127.0.0.1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10")

import gradio as gr
from starlette.middleware import Middleware

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.files import packaged
from hsae.commands.command_line import artifact_in
from hsae.errors import InputError
from hsae.views.page import api
from hsae.views.page.by_text import TextSearch
from hsae.views.page.desk import Desk
from hsae.views.page.intake import MAX_FILE, Intake
from hsae.views.page.models import Models
from hsae.views.page.own_images import OwnImages, images_of
from hsae.views.page.page import Page
from hsae.views.page.photos import Photos
from hsae.views.page.sessions import Forgetful, PageConfig
from hsae.views.page.state import Choices
from hsae.views.page.tabs import tabs_css
from hsae.views.page.upload_folder import upload_folder
from hsae.views.parts.view import asset
from hsae.views.share.served import Served, Shared

_HEAD = "<style>@media (max-width: 640px) { .gradio-container { overflow: clip !important; } }</style>"
"""Gradio keeps style.css inside its container, and around a scroll container nothing stays in sight on a phone."""
_PATIENCE = 8.0  # seconds
_EVENTS = 320  # under way at once, more than all lanes have room for: so Gradio itself queues none


class Space(gr.Blocks):
    """The page, and what is served beside it."""

    shared: Shared

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.default_config = PageConfig(self)


def build_app(
    artifacts: Sequence[Artifact], images: Mapping[str, OwnImages] | None = None, texts: TextSearch | None = None
) -> Space:
    """The page over one or more artifacts; where a backbone takes long, it opens without and draws the rest later.

    images: by artifact id those it was measured on (`own_images`), which stand beside its features; texts: finds
    features by free text.
    """
    upload_folder()
    models, photos = Models(artifacts, images), Photos()
    models.settle(0)
    desk = Desk(models, photos, texts)
    choices = Choices(models, photos)
    with Space(title="hsae", analytics_enabled=False, fill_width=True) as demo:
        demo.shared = Shared(desk, choices)
        page = Page(desk, choices)
        first = page.lane.handler(page.load, page.turns.first(2))
        loaded: Any = demo.load(first, None, [*page.outputs, page.waiting], **page.options)
        page.tell_answered(loaded)
        api.build(desk)
    models.settle(_PATIENCE)  # or the first visitor would share the processor with it
    if not models.loading:
        page.paint()
    return demo.queue(default_concurrency_limit=None)  # calls wait in their lanes, where visitors take turns


def launch(
    demo: Space,
    host: str | None = None,
    port: int | None = None,
    *,
    share: bool = False,
    mcp: bool = False,
    block: bool = True,
) -> str:
    """Start the server; returns its address. Nothing is served from disk but uploads that were not read yet.

    mcp: its public functions are also tools for AI assistants, at /gradio_api/mcp.
    """
    font = gr.themes.utils.fonts.LocalFont("Source Sans Pro", weights=(400, 700))  # its 600 lacks most letters
    theme = gr.themes.Default(primary_hue="blue", font=(font, "sans-serif"))
    theme.set(body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400")  # readable
    _, address, _ = demo.launch(
        server_name=host, server_port=port, share=share, prevent_thread_lock=not block, show_error=False,
        max_file_size=MAX_FILE, run_history=False, enable_monitoring=False, ssr_mode=False, quiet=not block,
        footer_links=["api", "gradio", "settings"], css=f"{asset('page/style.css')}\n{tabs_css()}",
        head=_HEAD, theme=theme, mcp_server=mcp, max_threads=_EVENTS,
        app_kwargs={
            "middleware": [
                Middleware(Intake, folder=upload_folder()), Middleware(Served, shared=demo.shared),
                Middleware(Forgetful),
            ]
        },
    )  # fmt: skip
    return address


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command can be told."""
    parser.add_argument(
        "--artifact", action="append",
        help='artifact or run folder, Hub id or "starter"; repeat for several (default: $HSAE_ARTIFACT, else packaged)',
    )  # fmt: skip
    parser.add_argument(
        "--data", help="images that a run named by --artifact was measured on, to show beside its features: its --data"
    )
    parser.add_argument("--data_split", help="the part of them that it was measured on: its --heldout_split")
    parser.add_argument(
        "--text_encoder", help="CLIP, SigLIP or a fine-tuned one, a folder or a Hub id: finds features by free text too"
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1; 0.0.0.0 for every interface)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="also open a public gradio.live address")
    parser.add_argument("--mcp", action="store_true", help='also serve AI assistants (pip install "gradio[mcp]")')


def _text_search(encoder: str | None) -> TextSearch | None:
    if encoder is None:
        return None
    from hsae.backbones.hf_text import load_image_and_text  # loads tokenizers, which nothing else here needs

    return TextSearch(load_image_and_text(encoder))


def sources(named: Sequence[str] | None) -> Sequence[str]:
    """What is opened: what was named, else what $HSAE_ARTIFACT names between commas, else what is packaged."""
    stated = os.environ.get("HSAE_ARTIFACT", "").split(",")
    return named or [name.strip() for name in stated if name.strip()] or packaged()


def run(options: argparse.Namespace) -> None:
    """Serve until stopped; InputError when the server cannot start."""
    if options.mcp and find_spec("mcp") is None:
        raise InputError("--mcp without its package", 'pip install "gradio[mcp]"')
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as cleanly as Ctrl+C
    try:
        artifacts = [Artifact.load(artifact_in(source)) for source in sources(options.artifact)]
        images = images_of(artifacts, options.data, options.data_split)
        launch(
            build_app(artifacts, images, _text_search(options.text_encoder)),
            options.host,
            options.port,
            share=options.share,
            mcp=options.mcp,
        )
    except OSError as error:  # such as a port that is taken
        raise InputError(f"the server cannot start: {error}", "a free port (--port)") from error
    finally:
        upload_folder().close()

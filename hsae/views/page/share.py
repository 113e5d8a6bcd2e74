"""Share: copy the link of the view, or save a picture of it, of an uploaded photograph too."""

from __future__ import annotations

import base64
from typing import Any

import gradio as gr

from hsae.errors import HsaeError
from hsae.views.page.desk import Desk
from hsae.views.page.lanes import Lane
from hsae.views.page.selection import Selection
from hsae.views.parts.view import asset
from hsae.views.share.picture import encoded
from hsae.views.share.preview import plain_poster, poster

_BUTTONS = (
    '<div class="hsae-share"><button type="button" class="hsae-pick" data-copy>Copy link</button>'
    '<button type="button" class="hsae-pick" data-picture title="1200 × 630">Save picture</button></div>'
)


def share_buttons() -> gr.HTML:
    """The component; its value is a `card_payload`, which the browser saves when it comes."""
    return gr.HTML(
        {}, html_template=_BUTTONS, js_on_load=asset("page/share.js"), apply_default_css=False, elem_id="share",
        min_width=180,
    )  # fmt: skip


def card_payload(desk: Desk, selection: Selection) -> dict[str, Any]:
    """{name, picture: data URI}: nothing of it is kept or written."""
    try:
        made = poster(desk, selection)
    except HsaeError:
        made = plain_poster(desk, selection)
    uri = base64.b64encode(encoded(made, "PNG")).decode()
    return {"name": "hsae.png", "picture": f"data:image/png;base64,{uri}"}


def wire(share: gr.HTML, desk: Desk, selection: gr.State) -> None:
    """A click on the second button draws the picture, in a lane of its own."""
    lane = Lane("pictures", threads=1, each=4, everybody=16)

    def drawn(chosen: Selection) -> dict[str, Any]:
        return card_payload(desk, chosen)

    share.submit(lane.handler(drawn), selection, share, api_visibility="private", show_progress="minimal")

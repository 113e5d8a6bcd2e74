"""One feature's card alone, without script, for an iframe of another page."""

from __future__ import annotations

from hsae.errors import HsaeError
from hsae.views.page.desk import Desk
from hsae.views.page.selection import Selection
from hsae.views.parts.markup import esc, notice
from hsae.views.parts.view import asset
from hsae.views.share.preview import preview
from hsae.views.tabs.feature.card import head_html
from hsae.views.tabs.feature.photographs import masks, shots_html


def embed_html(desk: Desk, selection: Selection, link: str) -> str:
    """A whole document: the chosen feature, or the photograph's first; link: to the same in the app."""
    latent = desk.focus(selection)
    if latent is None:
        card, style = notice("Every feature of this layer is silent."), ""
    else:
        row = desk.model(selection).latents(selection.layer).iloc[latent]
        card = head_html(row, latent, selection.layer) + shots_html(desk, selection, latent, pick=False)
        style = _masks(desk, selection, latent)
    title = preview(desk, selection).title
    return asset("share/embed.html").format(
        title=esc(title), style=asset("page/style.css"), masks=style, card=card, link=esc(link)
    )


def _masks(desk: Desk, selection: Selection, latent: int) -> str:
    """Where it fires, as variables of the page; none while the backbone is not there: the pictures stay bright."""
    try:
        known = masks(desk, selection, latent)["masks"]
    except HsaeError:
        return ""
    return f":root {{ {' '.join(f'{name}: url({uri});' for name, uri in known.items())} }}"

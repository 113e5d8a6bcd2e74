"""One map over the photograph: what it does not point at is dimmed, or the map is painted over it with its scale."""

from __future__ import annotations

import numpy as np
from PIL import Image

from hsae.relevancy import RelevancyMap
from hsae.views.parts.charts import gradient_css, heat_image, image_uri, is_signed, strongest_place
from hsae.views.parts.dim import mask_uri
from hsae.views.parts.markup import esc, number
from hsae.views.tabs.relevancy.explained import Explained

_SIDE = 448


def overlay_html(crop: Image.Image, of: Explained) -> str:
    """The square the model sees, dimmed where the map says nothing for it; the map itself over it, and its scale.

    The page shows one of the two, as the visitor chooses (`#look`).
    """
    relevancy = of.map()
    photo, heat = image_uri(crop), image_uri(heat_image(relevancy, _SIDE), "PNG")
    place = strongest_place(relevancy.values)
    alt = f"Heat map of {of.name}: strongest at the {place}"
    return (
        f'<figure class="hsae-heat" data-of="{of.kind}"><h3>{esc(of.title)}</h3>'
        f'<div><img src="{photo}" alt=""><img class="over hsae-painted" src="{heat}" alt="{esc(alt)}">'
        f'<span class="hsae-still" role="img" aria-label="{esc(alt)}" style="--photo:url({photo})">'
        f'<i style="mask-image:url({mask_uri(relevancy)})"></i></span></div>{legend_html(relevancy)}'
        f"<p>{of.told} Strongest: <b>{place}</b>.</p></figure>"
    )


def legend_html(relevancy: RelevancyMap) -> str:
    """The colour scale with its numbers; the ends are where `RelevancyMap.displayed` stops telling values apart."""
    limit, signed = relevancy.limit, is_signed(relevancy)
    ends = (-limit, 0.0, limit) if signed else (0.0, limit / 2, limit)
    texts = "".join(f"<span>{number(value)}</span>" for value in ends)
    top = float(np.abs(relevancy.values).max())
    beyond = f"; the strongest patch has {number(top)}" if top > limit else ""
    rows, cols = relevancy.values.shape
    return (
        '<figcaption class="hsae-painted">'
        f'<div class="hsae-scale" style="background:{gradient_css(signed=signed)}"></div>'
        f'<div class="hsae-ends">{texts}</div>relevance per patch'
        f" ({rows} × {cols} patches), on the method's own scale{beyond}</figcaption>"
    )

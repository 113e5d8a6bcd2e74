"""Several features of the photograph side by side: each in a colour of its own, and all of them in one picture."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from hsae.relevancy import RelevancyMap
from hsae.views.page.desk import Desk, said_number
from hsae.views.page.kept import Feature, read_kept, write_feature
from hsae.views.page.selection import MARKS, Selection
from hsae.views.parts.charts import image_uri
from hsae.views.parts.dim import mask_uri
from hsae.views.parts.left import go_on
from hsae.views.parts.markup import button, esc
from hsae.views.tabs.relevancy.elsewhere import others_html
from hsae.views.tabs.relevancy.explained import method_of

_OFFERED, _SIDE = 6, 320
_HINT = f"Click up to {MARKS} features, or features of patches above, to see each of them in a colour."


@dataclass(frozen=True)
class Marked:
    """A feature shown in a colour."""

    mark: Feature
    """Its kind, feature or patch, and its number."""
    name: str
    map: RelevancyMap | None
    """Where it is in the photograph; None where it is silent."""
    others: str
    """HTML of other photographs, with the places where it fires."""

    @property
    def layer(self) -> str:
        """The mask of the picture, in the colour of the element around it."""
        return "" if self.map is None else f'<i style="mask-image:url({mask_uri(self.map)})"></i>'


def colours_html(desk: Desk, selection: Selection) -> str:
    """The features to choose from, the photograph with all that are chosen, and with each alone."""
    model = desk.model(selection)
    marks = read_kept(selection.marks, model.markable(selection.layer), MARKS)
    faces = _offered(desk, selection, marks)
    found = [_marked(desk, selection, mark) for mark in marks]
    photo = image_uri(desk.photos.crop(model, selection.image, _SIDE)) if found else ""
    return (
        f'<h3>Side by side in colours</h3><div class="hsae-presets">{faces}</div>'
        f'<p class="hsae-hint">{_HINT}</p>{tints_html(photo, found)}'
    )


def tints_html(photo: str, found: list[Marked]) -> str:
    """The photograph, a data URI, once with all features and once with each; empty without features."""
    if not found:
        return ""
    together = "".join(f'<span class="s{at}">{one.layer}</span>' for at, one in enumerate(found))
    alone = "".join(_figure(photo, at, one) for at, one in enumerate(found))
    still = _still(photo, together, f"All {len(found)} together")
    whole = f"<figure>{still}<figcaption>together</figcaption></figure>" if len(found) > 1 else ""
    return f'<div class="hsae-tints">{whole}{alone}</div>'


def _figure(photo: str, at: int, one: Marked) -> str:
    silent = "" if one.map is not None else " <small>silent in this photo</small>"
    face = _still(photo, f'<span class="s{at}">{one.layer}</span>', f"Where {one.name} is")
    off = button("×", ("mark", write_feature(one.mark)), title=f"Take {one.name} away")
    name = f'<span class="key s{at}">{esc(one.name)}</span>'
    return f"<figure>{face}<figcaption>{name}{silent} {off}{one.others}</figcaption></figure>"


def _still(photo: str, inside: str, told: str) -> str:
    return f'<span class="hsae-still" role="img" aria-label="{esc(told)}" style="--photo:url({photo})">{inside}</span>'


def _offered(desk: Desk, selection: Selection, marks: tuple[Feature, ...]) -> str:
    """A button for each of the photograph's first features."""
    active = desk.active(selection)
    rows = active[active["activation"] > 0].head(_OFFERED)
    return "".join(_offer(row, marks) for _, row in rows.iterrows())


def _offer(row: pd.Series, marks: tuple[Feature, ...]) -> str:
    mark = ("feature", int(row["latent"]))
    return button(said_number(row, mark[1]), ("mark", write_feature(mark)), pressed=mark in marks)


def _marked(desk: Desk, selection: Selection, mark: Feature) -> Marked:
    go_on()
    (kind, latent), model, layer = mark, desk.model(selection), selection.layer
    of = model.patches if kind == "patch" and model.patches is not None else model
    session = desk.photos.session(of, selection.image)
    active = session.active_latents(layer, top=10**6).set_index("latent", drop=False)
    others = others_html(of, layer, latent) if kind == "patch" else ""
    if latent not in active.index or not active["activation"][latent] > 0:
        return Marked(mark, f"feature {latent}", None, others)
    name = said_number(active.loc[latent], latent)
    if kind == "patch":
        return Marked(mark, name, session.activation_map(layer, latent), others)
    return Marked(mark, name, session.relevancy(layer, latent, method_of(desk, selection)), others)

"""Pictures on which a feature fires strongly, middlingly and weakly, and where in each of them it does."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image, ImageOps

from hsae.errors import HsaeError
from hsae.relevancy import RelevancyMap
from hsae.session import Session
from hsae.views.page.desk import Desk
from hsae.views.page.models import Model
from hsae.views.page.photos import starter_keys
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import image_uri
from hsae.views.parts.dim import mask_name, mask_uri
from hsae.views.parts.left import go_on
from hsae.views.parts.markup import attributes, esc, notice, number
from hsae.views.tabs.relevancy.explained import method_of

KINDS = {
    "top": ("Where it fires most", 6),
    "middle": ("Around the middle of its firings", 3),
    "low": ("Its weakest firings", 3),
}
"""By kind its heading, and how many pictures of it are shown."""
_SIDE = 144


@dataclass(frozen=True)
class Shot:
    """A picture on which a feature fires: a starter photograph by its key, or a row of the artifact's own data."""

    key: str | int
    activation: float

    @property
    def title(self) -> str:
        """What it is called."""
        return f"image {self.key} of the data set" if isinstance(self.key, int) else starter_keys()[self.key]


def shots(model: Model, layer: str, latent: int) -> dict[str, list[Shot]]:
    """By kind the pictures there are: of the artifact's own data where it may show them, else starter photographs."""
    entry, weaker = model.artifact.top_images(layer)[latent], model.weaker(layer, latent)
    own: Container[object] = () if model.examples is None else model.examples.rows
    rows = {"middle": weaker.images.middle, "low": weaker.images.low}
    found = _shots(entry["dataset"], rows, own)
    return found or _shots(entry["starter"], weaker.photos, starter_keys())


def _shots(
    strongest: Sequence[Any], weaker: Mapping[str, Sequence[tuple[Any, int]]], known: Container[object]
) -> dict[str, list[Shot]]:
    """Those whose keys are known; weaker ones come with their per cent of the largest activation."""
    most = float(strongest[0][1]) if strongest else 0.0
    pairs = {"top": strongest} | {kind: [(key, most * share / 100) for key, share in weaker[kind]] for kind in weaker}
    shown = {
        kind: [Shot(key, float(value)) for key, value in pairs[kind] if key in known][:n]
        for kind, (_, n) in KINDS.items()
        if kind in pairs
    }
    return {kind: some for kind, some in shown.items() if some}


def shots_html(desk: Desk, selection: Selection, latent: int, *, pick: bool = True) -> str:
    """Its pictures by kind; where it fires in each comes with `masks`. pick: a click looks at a starter photograph."""
    model = desk.model(selection)
    found = shots(model, selection.layer, latent)
    if not found:
        return notice("None of the packaged photographs moves it; it was found on other images.")
    groups = "".join(
        f'<section><h3>{KINDS[kind][0]}</h3><div class="hsae-shots">'
        f"{''.join(_face(desk, selection, latent, shot, pick) for shot in some)}</div></section>"
        for kind, some in found.items()
    )
    own = any(isinstance(shot.key, int) for some in found.values() for shot in some)
    return f'<div class="hsae-kinds">{groups}</div>{_hint(model, own)}'


def mine_html(desk: Desk, selection: Selection, latent: int) -> str:
    """The feature in the visitor's own photograph."""
    value = value_here(desk, selection, latent)
    if not value:
        return "<h3>Your photo</h3><p>It does not fire there.</p>"
    face = _still(desk, selection, latent, Shot(selection.image, value))
    go = attributes(("view", "relevancy"))
    return (
        f'<h3>Your photo</h3><div class="hsae-shots"><button type="button" class="hsae-pick hsae-shot" {go}'
        f' title="Where it comes from, larger">{face}<span>{number(value)}</span></button></div>'
    )


def value_here(desk: Desk, selection: Selection, latent: int) -> float:
    """How strongly a feature fires in the visitor's photograph; 0 where it is silent."""
    active = desk.session(selection).active_latents(selection.layer, top=10**6).set_index("latent")["activation"]
    return float(active.get(latent, 0.0))


def masks(desk: Desk, selection: Selection, latent: int) -> dict[str, dict[str, str]]:
    """For masks.js: where the feature fires in each picture of its page."""
    model = desk.model(selection)
    some = [shot for kind in shots(model, selection.layer, latent).values() for shot in kind]
    if selection.image and value_here(desk, selection, latent):
        some.insert(0, Shot(selection.image, 0.0))
    return {
        "masks": {
            _variable(selection, latent, shot.key): mask_uri(where(desk, selection, latent, shot)) for shot in some
        }
    }


def where(desk: Desk, selection: Selection, latent: int, shot: Shot) -> RelevancyMap:
    """Which patches of a picture the feature's value comes from; for features of patches where it fires."""
    go_on()
    session = _session(desk, selection, shot)
    if session.artifact.token == "patch" and not selection.method:
        return session.activation_map(selection.layer, latent)
    return session.relevancy(selection.layer, latent, method_of(desk, selection))


def picture(desk: Desk, model: Model, shot: Shot, side: int = _SIDE) -> Image.Image:
    """The square of a picture that the model sees; without the backbone, the middle of the picture."""
    if isinstance(shot.key, int):
        image = None if model.examples is None else model.examples.image(shot.key)
        return ImageOps.fit(image or Image.new("RGB", (side, side)), (side, side))
    try:
        return desk.photos.crop(model, shot.key, side)
    except HsaeError:  # its answers wait for the backbone, the picture need not
        return ImageOps.fit(desk.photos.image(shot.key), (side, side))


def _session(desk: Desk, selection: Selection, shot: Shot) -> Session:
    if not isinstance(shot.key, int):
        return desk.session(replace(selection, image=shot.key))
    model = desk.model(selection)
    return model.session().like().set_image(picture(desk, model, shot))


def _face(desk: Desk, selection: Selection, latent: int, shot: Shot, pick: bool) -> str:
    """A picture with its activation; a starter photograph may be a button that looks at it."""
    inside = f"{_still(desk, selection, latent, shot)}<span>{number(shot.activation)}</span>"
    if isinstance(shot.key, int) or not pick:
        return f'<figure class="hsae-shot" title="{esc(shot.title)}">{inside}</figure>'
    return (
        f'<button type="button" class="hsae-pick hsae-shot" {attributes(("image", shot.key))}'
        f' title="Look at {esc(shot.title)}" aria-label="{esc(shot.title)}, activation {number(shot.activation)}">'
        f"{inside}</button>"
    )


def _still(desk: Desk, selection: Selection, latent: int, shot: Shot) -> str:
    name = _variable(selection, latent, shot.key)
    uri = image_uri(picture(desk, desk.model(selection), shot))
    return f'<span class="hsae-still" style="--photo:url({uri})"><i style="mask-image:var({name})"></i></span>'


def _variable(selection: Selection, latent: int, key: str | int) -> str:
    """Name of the CSS variable that holds where a feature fires in a picture."""
    return mask_name(selection.model, selection.layer, latent, key, selection.method)


def _hint(model: Model, own: bool) -> str:
    said = "Bright: what makes it fire. The number is how strongly it fires."
    if own and model.examples is not None:
        said += f" Images of {esc(str(model.artifact.dataset['id']))}: {esc(model.examples.note)}"
    return f'<p class="hsae-hint">{said}</p>'

"""What a link looks like where it is shared: a title, a sentence, and the picture of what it opens."""

from __future__ import annotations

from dataclasses import dataclass

from hsae.errors import HsaeError
from hsae.hierarchy import wordnet
from hsae.views.page.desk import Desk, feature_name
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import short_layer
from hsae.views.parts.dim import dimmed
from hsae.views.parts.markup import percent
from hsae.views.share.picture import Frame, Poster
from hsae.views.tabs.concept.concept import concept_of
from hsae.views.tabs.concept.film import told
from hsae.views.tabs.feature.card import evidence_text
from hsae.views.tabs.feature.photographs import picture, shots, where
from hsae.views.tabs.steer.panes import edit_of

_SIDE = 300
_ABOUT = "Pick a photo, watch a concept appear layer by layer inside a vision model, and turn it up or down."


@dataclass(frozen=True)
class Preview:
    """The words of a link."""

    title: str
    description: str


def preview(desk: Desk, selection: Selection) -> Preview:
    """Said at once, without the backbone."""
    model = desk.model(selection)
    if selection.view == "feature" and selection.latent is not None:
        row = model.latents(selection.layer).iloc[selection.latent]
        name = feature_name(row, selection.latent)
        return Preview(f"{name}: a feature of layer {short_layer(selection.layer)}", evidence_text(row))
    return Preview(f"Where does this vision model know what {_a(selection.concept)} is?", _ABOUT)


def poster(desk: Desk, selection: Selection) -> Poster:
    """The picture of a selection, which takes a forward pass and some backward ones.

    HsaeError where the backbone is not there, or the artifact has no classes.
    """
    foot = f"hsae · {desk.model(selection).artifact.backbone['id']}"
    latent = desk.focus(selection)
    if selection.view == "feature" and latent is not None:
        return _of_feature(desk, selection, latent, foot)
    return _of_film(desk, selection, foot)


def plain_poster(desk: Desk, selection: Selection) -> Poster:
    """The picture where nothing can be asked of the model: its words, and the photograph if there is one."""
    words = preview(desk, selection)
    try:
        photo = desk.photos.image(selection.image)
    except HsaeError:
        photo = None
    return Poster(words.title, photo, [], words.description, "hsae")


def _of_film(desk: Desk, selection: Selection, foot: str) -> Poster:
    model, concept = desk.model(selection), concept_of(desk, selection)
    session, photo = desk.session(selection), desk.photos.crop(model, selection.image, _SIDE)
    nodes = [concept, *(node for node in reversed(model.taxonomy.branches_above(concept)) if node != concept)][:4]
    chances = session.node_probabilities(nodes)
    maps = session.concept_maps(concept)
    frames = [
        Frame(
            dimmed(photo, maps[layer]) if layer in maps else photo, f"{short_layer(layer)}: {percent(chance)}", chance
        )
        for layer, chance in chances[concept].items()
    ]
    name = wordnet().name(concept)
    said = told(name, {wordnet().name(node): values for node, values in chances.items()})
    title = f"Where does this vision model know what {_a(concept)} is?"
    return Poster(title, photo, frames, _turned(desk, selection) or said, foot)


def _turned(desk: Desk, selection: Selection) -> str:
    """What an edit in the link does to the most likely class; empty without an edit."""
    if not (selection.edit and selection.view == "steer"):
        return ""
    result = desk.session(selection).steer(edit_of(desk, selection))
    before, after = result.probabilities_before, result.probabilities_after
    first, last = int(before.argmax()), int(after.argmax())
    names = [wordnet().name(wnid) for wnid in result.classes]
    return (
        f"Turned inside the model, not in the photo: {names[first]} {percent(before[first])} → {percent(after[first])},"
        f" {names[last]} {percent(before[last])} → {percent(after[last])}."
    )


def _of_feature(desk: Desk, selection: Selection, latent: int, foot: str) -> Poster:
    model = desk.model(selection)
    row = model.latents(selection.layer).iloc[latent]
    some = [shot for kind in shots(model, selection.layer, latent).values() for shot in kind]
    frames = [
        Frame(dimmed(picture(desk, model, shot), where(desk, selection, latent, shot)), f"{shot.activation:.3g}")
        for shot in some
    ]
    name = feature_name(row, latent)
    title = f"{name}: feature {latent} of layer {short_layer(selection.layer)}"
    photo = picture(desk, model, some[0], _SIDE) if some else None
    return Poster(title, photo, frames, evidence_text(row), foot)


def _a(concept: str) -> str:
    """A concept with its article; that of the page's own title where none is chosen."""
    name = wordnet().name(concept) if concept else "dog"
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"

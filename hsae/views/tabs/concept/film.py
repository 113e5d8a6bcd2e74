"""The film: the photograph once per layer, with what the layer's answer does not come from dimmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from hsae.relevancy import RelevancyMap
from hsae.views.parts.charts import image_uri, short_layer
from hsae.views.parts.dim import mask_uri
from hsae.views.parts.markup import attributes, bar, esc, percent

_WIDE = 12
"""Frames that fit side by side; of more layers each frame keeps its width and the film scrolls."""


@dataclass(frozen=True)
class Film:
    """A photograph and how likely a concept is in it, after each layer."""

    photo: Image.Image
    """The square that the model sees."""
    concept: str
    """Its name in words."""
    chances: Mapping[str, float]
    """Probability of the concept by layer, in [0, 1]."""


def film_html(film: Film, selected: str) -> str:
    """One frame per layer to click: the photograph, the layer and the probability; the whole photograph stays bright
    until `masks_payload` says what comes from where."""
    frames = "".join(_frame(film, at, layer, layer == selected) for at, layer in enumerate(film.chances))
    width = 100 / min(len(film.chances), _WIDE)
    return (
        f'<div class="hsae-film" role="group" aria-label="{esc(film.concept)}, layer by layer"'
        f' style="--photo:url({image_uri(film.photo)});--frame:{width:.2f}%">{frames}</div>'
    )


def _frame(film: Film, at: int, layer: str, pressed: bool) -> str:
    chance = film.chances[layer]
    told = f"layer {short_layer(layer)}: {film.concept} {percent(chance)}"
    return (
        f'<button type="button" class="hsae-pick hsae-frame" {attributes(("layer", layer))}'
        f' aria-pressed="{str(pressed).lower()}" aria-label="{esc(told)}" title="{esc(told)}">'
        f'<span class="hsae-still"><i style="mask-image:var(--film-mask-{at})"></i></span>'
        f"{bar(chance)}<b>{percent(chance)}</b><small>{esc(short_layer(layer))}</small></button>"
    )


def masks_payload(maps: Mapping[str, RelevancyMap]) -> dict[str, list[str]]:
    """What masks.js dims the frames with, in the order of the film."""
    return {"masks": [mask_uri(found) for found in maps.values()]}


def told(concept: str, chances: Mapping[str, Mapping[str, float]]) -> str:
    """When each branch is first more likely than not and stays so, in one sentence.

    chances: probability by layer of the concept first, then of the branches above it.
    """
    since = {name: settled(list(values.values()), list(values)) for name, values in chances.items()}
    own = since[concept]
    first = (
        f"First more {concept} than not at layer {short_layer(own)}."
        if own
        else f"The last layer is not more for {concept} than against it."
    )
    above: dict[str, list[str]] = {}
    for name, layer in since.items():
        if layer and name != concept:
            above.setdefault(layer, []).append(name)
    since_when = [f"{_listed(names)} since layer {short_layer(layer)}" for layer, names in above.items()]
    return f"{first} {_sentence(since_when)}".strip()


def settled(values: Sequence[float], layers: Sequence[str]) -> str | None:
    """The first layer from which on all values are above one half; None when the last one is not."""
    start = next((at for at in range(len(values), 0, -1) if values[at - 1] <= 0.5), 0)
    return layers[start] if start < len(values) else None


def _listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _sentence(parts: Sequence[str]) -> str:
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""

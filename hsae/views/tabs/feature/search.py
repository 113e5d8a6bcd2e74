"""Search over the features of all layers: by a word, a class, a WordNet id or a number, and by free text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from hsae.hierarchy import wordnet
from hsae.report.shown_names import OLDER, name_nodes, names, status, telling
from hsae.views.page.by_text import TextSearch
from hsae.views.page.desk import feature_name, trust
from hsae.views.page.models import Model
from hsae.views.page.photos import starter_keys, thumbnail
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import button, esc, named_node, notice, table

_NODES, _SHOWN, _ALIKE, _PHOTOS, _LONGEST = 6, 40, 12, 4, 80
_BY_PHOTOGRAPHS = (
    "q: the share of false finds expected among features at least as much alike. What the photographs that move a"
    " feature have in common need not be what makes it fire."
)
_HEADS = ["feature", "layer", "why", "photos"]


@dataclass(frozen=True)
class Found:
    """A feature that answers a search."""

    layer: str
    latent: int
    why: str
    """In words: how it answers."""


def results_html(model: Model, text: str, texts: TextSearch | None = None) -> str:
    """What a search finds, as tables: by words and numbers, and by photographs; empty for an empty text."""
    asked = " ".join(text.split())[:_LONGEST]
    if not asked:
        return ""
    return _by_words(model, asked) + (_by_photographs(model, asked, texts) if texts else "")


def _by_photographs(model: Model, asked: str, texts: TextSearch) -> str:
    alike, encoder = texts.found(model, asked)[:_ALIKE], esc(texts.name)
    head = f"<h3>By their photographs, as {encoder} sees them</h3>"
    if not alike:
        return head + notice(f"No feature's photographs are more like “{asked}” than photographs drawn at random.")
    found = [Found(one.layer, one.latent, f"its photographs are like the text (q {one.q:.2g})") for one in alike]
    rows = [_row(model, one) for one in found]
    hint = f'<p class="hsae-hint">{_BY_PHOTOGRAPHS}</p>'
    return head + table("Features found by photographs", _HEADS, rows, css="hsae-found") + hint


def _by_words(model: Model, asked: str) -> str:
    nodes = matching_nodes(model, asked)
    found = _answers(model, asked, nodes)
    if not found:
        return notice(f"No feature answers “{asked}”. Try a broader word, such as animal or vehicle, or a number.")
    said = ", ".join(named_node(node) for node in nodes)
    about = f"<p>“{esc(asked)}” in WordNet, as far as this model has classes of it: {said}.</p>" if nodes else ""
    rows = [_row(model, one) for one in found[:_SHOWN]]
    return about + table("Features found", _HEADS, rows, css="hsae-found")


def first_found(model: Model, layer: str, text: str) -> int | None:
    """The feature of a layer that a search finds first; None where it finds none there."""
    asked = " ".join(text.split())[:_LONGEST]
    found = _answers(model, asked, matching_nodes(model, asked)) if asked else []
    return next((one.latent for one in found if one.layer == layer), None)


def _answers(model: Model, asked: str, nodes: list[str]) -> list[Found]:
    """All that answers, the best first, each feature once."""
    answers = [*_numbered(model, asked), *_of_nodes(model, nodes), *_called(model, asked)]
    return list({(one.layer, one.latent): one for one in reversed(answers)}.values())[::-1]


def matching_nodes(model: Model, text: str) -> list[str]:
    """The nodes above the model's classes that a text means, the nearest meaning first; at most `_NODES`.

    A WordNet id is itself; a word means the nodes with a word that begins so ("wheels": wheeled vehicle); a word of
    none of them means the tightest node above what WordNet has of that name ("puma": wild cat).
    """
    nodes = model.taxonomy.nodes if model.has_classes else ()
    if text in nodes:
        return [text]
    ranks = {node: rank for node in nodes if (rank := _rank(text.lower(), node)) is not None}
    tight = {node: model.taxonomy.leaf_count(node) for node in ranks}
    best = sorted(ranks, key=lambda node: (ranks[node], tight[node]))[:_NODES]
    return best or _above(model, text)


def _rank(text: str, node: str) -> int | None:
    """0 for a node with this very word, 1 for one that begins so, 2 for one with such a word in it; None for others."""
    stem = text[:-1] if len(text) > 3 and text.endswith("s") and not text.endswith("ss") else text
    ranks = []
    for lemma in wordnet().lemmas(node):
        word = lemma.lower()
        if word in (text, stem):
            ranks.append(0)
        elif word.startswith(stem):
            ranks.append(1)
        elif any(part.startswith(stem) for part in word.split()):
            ranks.append(2)
    return min(ranks, default=None)


def _above(model: Model, text: str) -> list[str]:
    nodes = set(model.taxonomy.nodes) if model.has_classes else set()
    for meaning in wordnet().named(text):
        known = wordnet().ancestors(meaning) & nodes
        tight = min(known, key=lambda node: (model.taxonomy.leaf_count(node), -len(wordnet().path(node))), default=None)
        if tight is not None and model.taxonomy.leaf_count(tight) < len(model.artifact.classes) / 2:
            return [tight]
    return []


def _numbered(model: Model, text: str) -> Iterator[Found]:
    """12: that feature of every layer; block_07:12, 7:12: the one."""
    layer, _, number = text.rpartition(":")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        return
    for name, n in model.sizes.items():
        if int(number) < n and layer in ("", name, short_layer(name), short_layer(name).lstrip("0")):
            yield Found(name, int(number), "its number")


def _of_nodes(model: Model, nodes: list[str]) -> Iterator[Found]:
    """Of each node the features named after it, the most telling first, then the best that tell it in each layer."""
    for node in nodes:
        for layer, latent in _named_after(model).get(node, []):
            yield Found(layer, latent, f"named {wordnet().name(node)}: {trust(model.latents(layer).iloc[latent])}")
        scores = sorted(model.node_scores(node).items(), key=lambda pair: -pair[1][1])
        for layer, (latent, score) in scores:
            yield Found(layer, latent, f"tells {wordnet().name(node)} best at this layer: {score:.2f} of 1")


@lru_cache(maxsize=8)
def _named_after(model: Model) -> dict[str, list[tuple[str, int]]]:
    """By WordNet node the living features of all layers that are named after it, the most telling first."""
    owned: dict[str, list[tuple[float, str, int]]] = defaultdict(list)
    for layer in model.artifact.layers:
        latents = model.latents(layer)
        alive = latents[~latents["dead"]]
        nodes, worth = name_nodes(alive, older="best_node"), telling(alive)
        for latent in nodes.dropna().index:
            owned[nodes[latent]].append((-worth[latent], layer, int(latent)))
    return {node: [(layer, latent) for _, layer, latent in sorted(features)] for node, features in owned.items()}


def _called(model: Model, text: str) -> Iterator[Found]:
    """Features whose words have the text in them, where they come from the older rule."""
    for layer in model.artifact.layers:
        latents = model.latents(layer)
        words = names(latents[status(latents) == OLDER]).dropna()
        for latent in words.index[words.str.lower().str.contains(text.lower(), regex=False)]:
            yield Found(layer, int(latent), "its words")


def _row(model: Model, found: Found) -> list[str]:
    row = model.latents(found.layer).iloc[found.latent]
    keys = [key for key, _ in model.artifact.top_images(found.layer)[found.latent]["starter"] if key in starter_keys()]
    faces = "".join(f'<img src="{thumbnail(key)}" alt="{esc(starter_keys()[key])}">' for key in keys[:_PHOTOS])
    name = button(feature_name(row, found.latent), ("feature", f"{found.layer}:{found.latent}"))
    return [name, esc(short_layer(found.layer)), esc(found.why), f'<div class="hsae-few">{faces}</div>']

"""Two trees to open and close: WordNet with the features that own each node, and the features' own tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hsae.artifacts.documents.tree import Concept
from hsae.hierarchy import Taxonomy
from hsae.report.shown_names import name_nodes
from hsae.views.page.desk import feature_name, numbered_name, surest_first, trust
from hsae.views.parts.markup import button, esc, named_node, percent

_LISTED = 12  # features named under one node
_DRAWN = 300  # branches of the feature tree drawn at most: one with many parents is drawn under each of them


def owners(latents: pd.DataFrame, taxonomy: Taxonomy) -> dict[str, list[int]]:
    """The features named after each node of `branching`, the surest first.

    By the older rule those whose classes meet there: those that beat chance first, best covered first. A name may come
    from classes that the artifact does not have: then it has no place in this tree.
    """
    first: dict[bytes, str] = {}
    for node, row in zip(taxonomy.nodes, taxonomy.members, strict=True):
        first.setdefault(row.tobytes(), node)
    latents_at: dict[str, list[int]] = defaultdict(list)
    nodes = name_nodes(latents, older="lch")
    for latent in surest_first(latents[nodes.isin(taxonomy.nodes)], then=("coverage", "frequency")).index:
        latents_at[first[taxonomy.members[taxonomy.position(nodes[latent])].tobytes()]].append(int(latent))
    return dict(latents_at)


def wordnet_html(taxonomy: Taxonomy, children: Mapping[str, Sequence[str]], latents: pd.DataFrame) -> str:
    """The tree of the class list; a node says how many features own it, and lists them when it is opened."""
    owned = owners(latents, taxonomy)
    below = {node: len(owned.get(node, [])) for node in children}
    for node in children:  # tightest first, so that children are counted before their parents
        below[node] += sum(below[child] for child in children[node])
    tree = _OwnedTree(taxonomy, children, latents, owned, below).branch(list(children)[-1], open_to=2)
    return f'<div class="hsae-tree">{tree}</div>'


@dataclass(frozen=True)
class _OwnedTree:
    """The nodes of a class list with those below each, the features that own them, and how many do so below."""

    taxonomy: Taxonomy
    children: Mapping[str, Sequence[str]]
    latents: pd.DataFrame
    owned: Mapping[str, Sequence[int]]
    below: Mapping[str, int]

    def branch(self, node: str, open_to: int) -> str:
        """A node with a count, its features, and the branches below it; a class without features is left out."""
        here, n = self.owned.get(node, ()), self.taxonomy.leaf_count(node)
        drawn = "".join(
            self.branch(child, open_to - 1)
            for child in sorted(self.children[node], key=lambda child: -self.below[child])
            if self.below[child] or self.taxonomy.leaf_count(child) > 1
        )
        classes = f"{n} classes, " if n > 1 else ""
        beyond = f", {self.below[node] - len(here)} below" if drawn else ""
        counts = f"{classes}{len(here)} feature{'s' * (len(here) != 1)}{beyond}"
        head = f"{named_node(node)} <small>{counts}</small>"
        return _fold(head, _features(here, self.latents) + drawn, opened=open_to > 0)


def _features(shown: Sequence[int], latents: pd.DataFrame) -> str:
    """Buttons that open features: their number, and how far to trust that they stand here."""
    faces = "".join(
        button(
            f"no. {latent} · {trust(latents.iloc[latent])}",
            ("latent", latent),
            title=feature_name(latents.iloc[latent], latent),
        )
        for latent in shown[:_LISTED]
    )
    more = f"<small>and {len(shown) - _LISTED} more</small>" if len(shown) > _LISTED else ""
    return f"<p>{faces}{more}</p>" if faces else ""


def _fold(head: str, body: str, *, opened: bool = False) -> str:
    """Something to open when there is anything inside."""
    if not body:
        return f'<div class="hsae-leaf">{head}</div>'
    return f"<details{' open' * opened}><summary>{head}</summary><div>{body}</div></details>"


def feature_tree_html(edges: Iterable[Sequence[Any]], latents: pd.DataFrame) -> str:
    """The features' own tree: a feature stands under one that fires wherever it fires; edges as in tree.json."""
    children: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for parent, child, containment, *_ in edges:
        children[int(parent)].append((int(child), float(containment)))
    inner = {child for below in children.values() for child, _ in below}
    roots = sorted(set(children) - inner, key=lambda latent: (-len(children[latent]), latent))
    if not roots:
        return '<p class="hsae-hint">No feature of this layer fires wherever another one does.</p>'
    budget = [_DRAWN]
    drawn = "".join(_twig(root, None, children, latents, budget) for root in roots)
    hint = (
        f"{len(roots)} features stand above others. A share says on how many of its images the one above fires too."
        " Click one to open its card."
    )
    return f'<p class="hsae-hint">{hint}</p><div class="hsae-tree">{drawn}</div>'


def _twig(
    latent: int,
    containment: float | None,
    children: Mapping[int, Sequence[tuple[int, float]]],
    latents: pd.DataFrame,
    budget: list[int],
) -> str:
    """A feature with those below it, as long as `budget` lasts."""
    if budget[0] <= 0:
        return ""
    budget[0] -= 1
    share = "" if containment is None else f" <small>{percent(containment)}</small>"
    name = numbered_name(latents.iloc[latent], latent)
    below = sorted(children.get(latent, ()), key=lambda pair: -pair[1])
    twigs = "".join(_twig(child, cov, children, latents, budget) for child, cov in below)
    if not twigs:
        return _fold(button(name, ("latent", latent)) + share, "")
    return _fold(esc(name) + share, f"<p>{button('open its card', ('latent', latent))}</p>{twigs}")


def concepts_html(concepts: Sequence[Concept], latents: pd.DataFrame) -> str:
    """The tree that a second SAE learned from the features' directions: each concept with its features."""
    several = [concept for concept in concepts if len(concept[1]) > 1]
    if not several:
        return ""
    folds = "".join(
        _fold(
            f"{named_node(node) if node else 'no clear node'} <small>{len(below)} features</small>",
            _features(below, latents),
        )
        for node, below in several[:_DRAWN]
    )
    hint = (
        "A second, smaller SAE of the features' directions puts each feature under one concept. A concept is called by"
        " the WordNet node that fits the photographs of its features best; that name was not tested on others."
    )
    return f'<h3>Concepts of features</h3><p class="hsae-hint">{hint}</p><div class="hsae-tree">{folds}</div>'


def family_html(edges: Iterable[Sequence[Any]], latents: pd.DataFrame, latent: int) -> str:
    """The features right above and right below one in the feature tree, as buttons; empty without any."""
    above = [(int(p), float(c)) for p, child, c, *_ in edges if child == latent]
    below = [(int(child), float(c)) for p, child, c, *_ in edges if p == latent]
    parts = [
        f"<p>{words} " + "".join(_relative(other, share, latents) for other, share in relatives) + "</p>"
        for words, relatives in (
            ("Fires on most of its images (share of them):", above),
            ("Fire mostly on its images (share of theirs):", below),
        )
        if relatives
    ]
    return f"<h3>Above and below it in the feature tree</h3>{''.join(parts)}" if parts else ""


def _relative(latent: int, containment: float, latents: pd.DataFrame) -> str:
    name = feature_name(latents.iloc[latent], latent)
    return button(f"{name} · {percent(containment)}", ("latent", latent), title=f"feature no. {latent}")

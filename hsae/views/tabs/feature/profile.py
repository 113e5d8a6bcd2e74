"""A latent's profile on its card: a histogram of its activations, and the classes it fires for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from hsae.hierarchy import wordnet
from hsae.measures.profiles import Profile
from hsae.views.parts.markup import bar, esc, named_node, number, table

_WIDTH, _HEIGHT = 300, 90


def profile_html(profile: Profile | None, classes: Sequence[str], row: pd.Series) -> str:
    """Histogram and classes side by side; empty without a profile."""
    if profile is None:
        return ""
    return f'<div class="hsae-profile">{_histogram(profile, row)}{_classes(profile, classes)}</div>'


def _histogram(profile: Profile, row: pd.Series) -> str:
    most, width = max(profile.counts) or 1, _WIDTH / len(profile.counts)
    edges = [row["max"] * at / len(profile.counts) for at in range(len(profile.counts) + 1)]
    bars = "".join(
        f'<rect x="{at * width:.1f}" y="{_HEIGHT * (1 - count / most):.1f}" width="{width - 1:.1f}"'
        f' height="{_HEIGHT * count / most:.1f}">'
        f"<title>{count} images from {number(low)} to {number(high)}</title></rect>"
        for at, (count, (low, high)) in enumerate(zip(profile.counts, pairwise(edges), strict=True))
    )
    told = f"{sum(profile.counts)} images, most between {number(edges[profile.counts.index(most)])}"
    told += f" and {number(edges[profile.counts.index(most) + 1])}" if most else ""
    return (
        "<figure><figcaption><b>How strongly it fires</b></figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Histogram of activations: {esc(told)}">'
        f"{bars}</svg>"
        f'<div class="hsae-ends"><span>0</span><span>activation</span><span>{number(row["max"])}</span></div></figure>'
    )


def _classes(profile: Profile, classes: Sequence[str]) -> str:
    """Bars of firing rates, classes of one parent together, the strongest group first; empty without classes."""
    if not classes:
        return ""
    groups: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for column, percent in profile.classes:
        path = wordnet().path(classes[column])
        groups[path[-2] if len(path) > 1 else path[-1]].append((classes[column], percent))
    rows = [
        [named_node(parent, "hsae-hint") if at == 0 else "", named_node(wnid), f"{bar(percent / 100)} {percent} %"]
        for parent, members in groups.items()
        for at, (wnid, percent) in enumerate(members)
    ]
    listed_ = table("Share of the images of each class it fires on", ["kind", "class", "fires on"], rows)
    return f"<figure><figcaption><b>Classes it fires for most</b></figcaption>{listed_}</figure>"

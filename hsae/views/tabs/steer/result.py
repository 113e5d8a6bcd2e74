"""What an edit did, in HTML: classes and branches of WordNet, controls, photographs, features downstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hsae.hierarchy import Taxonomy
from hsae.steering.classification import SteeringResult
from hsae.views.page.photos import starter_keys, thumbnail
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import button, esc, named_node, number, percent, picture_button, points, signed_bar, table

_SHOWN = 5
_VISIBLE = 5e-4  # a change of 0.05 points
_LEAST_SCALE = 0.05  # changes below 5 points do not fill the bars, so that small ones look small
Row = tuple[str, float, str, str]
"""WordNet id, change as a share of the longest bar, the change in words, a last cell in plain text."""


def result_html(result: SteeringResult, taxonomy: Taxonomy, layer: str, *, moved: bool) -> str:
    """The classes that gain and lose most, the WordNet nodes that do, and how large the push is."""
    logits = _logits(result) if moved else ""
    return f"{hint_html(result, layer, moved=moved)}{_classes(result)}{_branches(result, taxonomy)}{logits}"


def hint_html(result: SteeringResult, layer: str, *, moved: bool) -> str:
    """One sentence on what was pushed how far, and what makes the answer doubtful."""
    if not moved:
        hint = "Nothing is changed yet: move a slider with the mouse or the arrow keys."
    elif not result.reaches_classifier:
        hint = "This edit touches only tokens that the classifier cannot see any more: pick an earlier layer."
    else:
        at, size = short_layer(layer), percent(result.delta_norm_ratio)
        hint = f"This changes what is touched at layer {at} by {size} of its length: the more, the less it means."
        if result.off_distribution:
            hint += f" Features now stronger than ever seen on real photos: {len(result.off_distribution)}."
        idle = sum(change.after <= change.before for change in result.silent)
        if idle:
            hint += f" Features turned down that do not fire there, so that nothing changes: {idle}."
    return f'<p class="hsae-hint" role="status">{esc(hint)}</p>'


def top_changes(before: np.ndarray, after: np.ndarray, top: int = _SHOWN) -> list[int]:
    """Positions of the `top` largest gains and losses, from the largest gain to the largest loss; [n_classes] each.

    Changes that read as 0.0 points do not count; where there are no others, the `top` most likely classes.
    """
    gained = after - before
    order = np.argsort(-gained, kind="stable").tolist()
    gains = [at for at in order[:top] if gained[at] >= _VISIBLE]
    losses = [at for at in order[-top:] if gained[at] <= -_VISIBLE]
    return gains + losses or np.argsort(-before, kind="stable")[:top].tolist()


def _classes(result: SteeringResult) -> str:
    before, after = result.probabilities_before.astype(float), result.probabilities_after.astype(float)
    shown = top_changes(before, after)
    gained = [float(after[at] - before[at]) for at in shown]
    lasts = [f"{percent(before[at])} → {percent(after[at])}" for at in shown]
    rows = _in_points([result.classes[at] for at in shown], gained, lasts)
    return "<h3>Classes</h3>" + _changes("Classes that change most", ["class", "points", "before → after"], rows)


def _logits(result: SteeringResult) -> str:
    """The class logits that rise and fall most, the rises first; a fold-out."""
    changes = result.logit_changes.astype(float)
    order = np.argsort(-changes, kind="stable").tolist()
    shown = [at for at in dict.fromkeys([*order[:_SHOWN], *order[-_SHOWN:]]) if changes[at]]
    if not shown:
        return ""
    largest = np.abs(changes).max()
    rows: list[Row] = [
        (
            result.classes[at],
            float(changes[at] / largest),
            _signed(changes[at]),
            f"{_signed(result.logits_before[at])} → {_signed(result.logits_after[at])}",
        )
        for at in shown
    ]
    listed = _changes("Class logits that change most", ["class", "logit", "before → after"], rows)
    hint = "Probabilities sum to 1, so one class may gain because others lose; logits move each by itself."
    words = "Class logits it raises and lowers"
    return f'<details><summary>{words}</summary><p class="hsae-hint">{hint}</p>{listed}</details>'


def _branches(result: SteeringResult, taxonomy: Taxonomy) -> str:
    kept = branches(result.mass_changes(taxonomy), taxonomy)
    if not kept:
        return ""
    rows = _in_points(list(kept), list(kept.values()), [f"{taxonomy.leaf_count(node)} classes" for node in kept])
    return "<h3>Branches of WordNet</h3>" + _changes("Branches that gain or lose", ["branch", "points", "size"], rows)


def branches(changes: Mapping[str, float], taxonomy: Taxonomy, top: int = _SHOWN) -> dict[str, float]:
    """The `top` largest changes of nodes with two classes or more: {node: change}.

    A node that shows the same number as one whose classes it holds too is left out: it repeats the tighter one.
    """
    kept: dict[str, float] = {}
    held = {node: set(taxonomy.classes_under(node)) for node in changes if taxonomy.leaf_count(node) > 1}
    for node in sorted(held, key=taxonomy.position):
        if not any(points(changes[node]) == points(changes[k]) and held[k] <= held[node] for k in kept):
            kept[node] = changes[node]
    largest = sorted(kept, key=lambda node: -abs(kept[node]))[:top]
    return {node: kept[node] for node in largest}


def control_html(result: SteeringResult) -> str:
    """The classes that the edit moves most, beside a random direction and another feature pushed as far."""
    before = result.probabilities_before.astype(float)
    columns = [result.probabilities_after, result.probabilities_control, result.probabilities_feature_control]
    gained = [None if after is None else after.astype(float) - before for after in columns]
    shown = top_changes(before, result.probabilities_after.astype(float))
    rows = [
        [named_node(result.classes[at]), *(points(g[at]) if g is not None else "–" for g in gained)] for at in shown
    ]
    moved = [f"{100 * np.abs(g).sum() / 2:.1f}" if g is not None else "–" for g in gained]
    heads = ["class", "this edit", "random direction", "another feature"]
    words = (
        '<p class="hsae-hint">The same push, equally long at the same tokens: in a random direction, and along a'
        " feature that fires as often. Where they do the same, the edit's meaning is not what did it.</p>"
    )
    listed = table("Changes in points by edit and controls", heads, [*rows, ["<b>moved in all</b>", *moved]])
    return f"<h3>Control, in points</h3>{words}{listed}"


def nearest_html(photos: pd.DataFrame) -> str:
    """Rows of photographs that look most alike to the last layer, before and after."""
    return "".join(
        f"<h3>Most similar starter photos {when}</h3>{_photos(photos[when], photos[f'{when}_cosine'])}"
        for when in ("before", "after")
    )


def _photos(keys: Sequence[str], cosines: Sequence[float]) -> str:
    names = starter_keys()
    faces = "".join(
        picture_button(thumbnail(key, 144), names[key], ("image", key), caption=f"{names[key]} · {cosine:.2f}")
        for key, cosine in zip(keys, cosines, strict=True)
        if key in names
    )
    return f'<div class="hsae-top">{faces}</div>'


def downstream_html(effects: pd.DataFrame, names: Sequence[str]) -> str:
    """The features of later layers that the edit moves most; `names`, one per row."""
    if not len(effects):
        return '<p class="hsae-hint">No later layer, or nothing moves there.</p>'
    rows = [
        [
            esc(short_layer(row["layer"])),
            button(name, ("feature", f"{row['layer']}:{int(row['latent'])}")),
            f"<b>{_signed(row['change'])}</b>",
            f"{number(row['before'])} → {number(row['after'])}",
        ]
        for name, (_, row) in zip(names, effects.iterrows(), strict=True)
    ]
    heads = ["layer", "feature", "change (of its p999)", "before → after"]
    return "<h3>Features that move in later layers</h3>" + table("Features downstream", heads, rows)


def _changes(caption: str, heads: Sequence[str], rows: Sequence[Row]) -> str:
    """A table of signed changes."""
    cells = [[named_node(wnid), signed_bar(share), f"<b>{said}</b>", esc(last)] for wnid, share, said, last in rows]
    return table(caption, [heads[0], "", *heads[1:]], cells, css="hsae-changes")


def _in_points(wnids: Sequence[str], gained: Sequence[float], lasts: Sequence[str]) -> list[Row]:
    """Changes of probability; the bars of large ones fill their width."""
    full = max([_LEAST_SCALE, *map(abs, gained)])
    return [(wnid, gain / full, points(gain), last) for wnid, gain, last in zip(wnids, gained, lasts, strict=True)]


def _signed(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{number(abs(value))}"

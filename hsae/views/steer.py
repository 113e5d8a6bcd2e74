"""Tab Steer: turn features up or down inside the model and see which classes gain or lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr
import numpy as np

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, wordnet
from hsae.steering.classification import SteeringResult
from hsae.steering.edits import Edit, Op
from hsae.views.desk import Desk, feature_name
from hsae.views.figures import short_layer
from hsae.views.markup import esc, percent, points, table
from hsae.views.state import Selection
from hsae.views.view import View

SLIDERS, REACH = 4, 3.0
_SHOWN = 5
_VISIBLE = 5e-4  # a change of 0.05 points
_LEAST_SCALE = 0.05  # changes below 5 points do not fill the bars, so that small ones look small
_INTRO = (
    '<p class="hsae-intro">Each slider turns one feature up or down <em>inside the model</em>, in units of its own'
    " strong activation. 0 = unchanged. <b>The photo itself is never altered</b>: only what the model makes of it.</p>"
)


def build(desk: Desk) -> tuple[View, list[gr.Slider], gr.Button]:
    """Sliders, reset and result; app.py wires them, because they read the shared selection."""
    gr.HTML(_INTRO, apply_default_css=False)
    with gr.Row():
        with gr.Column(min_width=240):
            sliders = [
                gr.Slider(-REACH, REACH, 0, step=0.1, label="feature", buttons=[], elem_id=f"steer-{at}", visible=False)
                for at in range(SLIDERS)
            ]
            reset = gr.Button("Reset: all sliders to 0", elem_id="steer-reset", size="sm")
        with gr.Column(min_width=300, scale=2):
            panel = gr.HTML(apply_default_css=False, elem_id="steer-result")
    reads = ("model", "layer", "latent", "image")
    view = View("steer", reads, [panel, *sliders], partial(neutral, desk), tab="steer")
    return view, sliders, reset


def steered(desk: Desk, selection: Selection) -> list[int]:
    """The latents under the sliders: the chosen feature, then the photograph's strongest."""
    active = desk.active(selection)
    chosen = [] if selection.latent is None else [selection.latent]
    return list(dict.fromkeys([*chosen, *active["latent"].astype(int).tolist()]))[:SLIDERS]


def neutral(desk: Desk, selection: Selection) -> list[Any]:
    """The panel with every slider at 0."""
    table = desk.model(selection).latents(selection.layer)
    labels = [f"{feature_name(table.iloc[at], at)} · {at}" for at in steered(desk, selection)]
    shown = [gr.Slider(label=label, value=0, visible=True) for label in labels]
    hidden = [gr.Slider(value=0, visible=False)] * (SLIDERS - len(labels))
    return [change(desk, selection, *[0.0] * SLIDERS), *shown, *hidden]


def change(desk: Desk, selection: Selection, *amounts: float) -> str:
    """What the sliders do: signed changes of probabilities; sliders at 0 are left out of the edit."""
    if any(not isinstance(a, int | float) or not abs(a) <= REACH for a in amounts):
        raise InputError(f"amounts {amounts!s:.80}", f"numbers from -{REACH:g} to {REACH:g}")
    pairs = zip(steered(desk, selection), amounts, strict=False)
    ops = tuple(Op(latent, "add", amount) for latent, amount in pairs if amount)
    model = desk.model(selection)
    scope = "cls" if model.artifact.token == "cls" else "patches"
    result = desk.session(selection).steer(Edit(selection.layer, ops, scope))
    return result_html(result, model.taxonomy, selection.layer, moved=bool(ops))


def result_html(result: SteeringResult, taxonomy: Taxonomy, layer: str, *, moved: bool) -> str:
    """The classes that gain and lose most, the WordNet nodes that do, and how large the push is."""
    if not moved:
        hint = "Nothing is changed yet: move a slider with the mouse or the arrow keys."
    elif not result.reaches_classifier:
        hint = "This edit touches only tokens that the classifier cannot see any more: pick an earlier layer."
    else:
        at, size = short_layer(layer), percent(result.delta_norm_ratio)
        hint = f"This changes the token at layer {at} by {size} of its length: the more, the less it means."
        if result.off_distribution:
            hint += f" Features now stronger than ever seen on real photos: {len(result.off_distribution)}."
    return f'<p class="hsae-hint" role="status">{esc(hint)}</p>{_classes(result)}{_branches(result, taxonomy)}'


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
    rows = [
        (result.classes[at], float(after[at] - before[at]), f"{percent(before[at])} → {percent(after[at])}")
        for at in top_changes(before, after)
    ]
    return "<h3>Classes</h3>" + _changes("Classes that change most", ["class", "before → after"], rows)


def _branches(result: SteeringResult, taxonomy: Taxonomy) -> str:
    kept = branches(result.mass_changes(taxonomy), taxonomy)
    rows = [(node, gained, f"{taxonomy.leaf_count(node)} classes") for node, gained in kept.items()]
    if not rows:
        return ""
    return "<h3>Branches of WordNet</h3>" + _changes("Branches that gain or lose", ["branch", "size"], rows)


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


def _changes(caption: str, heads: Sequence[str], rows: Sequence[tuple[str, float, str]]) -> str:
    """A table of signed changes: (WordNet id, change, a last cell in plain text)."""
    full = max([_LEAST_SCALE, *(abs(gained) for _, gained, _ in rows)])
    cells = [
        [
            f'<span title="{esc(wnid)}: {esc(wordnet().gloss(wnid))}">{esc(wordnet().name(wnid))}</span>',
            signed_bar(gained / full),
            f"<b>{points(gained)}</b>",
            esc(last),
        ]
        for wnid, gained, last in rows
    ]
    return table(caption, [heads[0], "", "points", heads[1]], cells, css="hsae-changes")


def signed_bar(share: float) -> str:
    """A bar from the middle to the right for a gain, to the left for a loss; a share in [-1, 1] of half its width."""
    side = "left" if share > 0 else "right"
    width = 50 * min(abs(share), 1.0)
    sign = "gain" if share > 0 else "loss"
    return f'<span class="hsae-signed {sign}" aria-hidden="true"><i style="{side}:50%;width:{width:.1f}%"></i></span>'

"""How hierarchical each layer is, beside the other models that it was measured with."""

from __future__ import annotations

from collections.abc import Mapping

from hsae.artifacts.documents.consistency import ModelConsistency, read_consistency
from hsae.artifacts.documents.reading import within
from hsae.views.page.desk import Desk
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import line_chart
from hsae.views.parts.markup import esc, number, table
from hsae.views.parts.view import View, picker

_CHARTS = {
    "cophenetic_height": "Distances of classes against WordNet: rank correlation",
    "neighbours": "Kin among the nearest classes: mean average precision",
    "severity": "Mistakes of a probe: height in WordNet (low is good)",
    "inconsistency": "Images read as what no class is (low is good)",
    "steered": "Photographs that a dial brings a concept into, as the last layer reads them",
}
_NULLS = {"steered": ("steered_random", "random push")}
"""Column and words of what a measure is drawn beside, where that is not its chance."""


def view(desk: Desk) -> View:
    """Charts over the layers, and the best layer of every model."""
    charts = picker(elem_id="consistency")
    return View(
        "consistency",
        ("model", "layer"),
        [charts],
        lambda s: [_shown(desk, s)],
        tab="layers",
        pickers=[charts],
        quiet=True,
    )


def _shown(desk: Desk, selection: Selection) -> str:
    document = desk.model(selection).artifact.document("consistency")
    models = read_consistency(document)
    return consistency_html(models, within(document, "conclusion"), selection.layer) if models else ""


def consistency_html(models: Mapping[str, ModelConsistency], conclusion: object, selected: str) -> str:
    """The own model, which comes first, by layer; then all of them at their best layer."""
    own = next(iter(models.values()))
    charts = []
    for name, title in _CHARTS.items():
        column, words = _NULLS.get(name, (f"{name}_null", "chance"))
        if name in own.numbers and column in own.numbers:
            lines = {"measured": own.numbers[name], words: own.numbers[column]}
            charts.append(line_chart(title, own.layers, lines, selected))
    said = f'<p class="hsae-intro">{esc(conclusion)}</p>' if isinstance(conclusion, str) else ""
    return (
        f'<h3>Does it order classes as WordNet does?</h3>{said}<div class="hsae-charts">{"".join(charts)}</div>'
        + _best(models)
    )


def _best(models: Mapping[str, ModelConsistency]) -> str:
    rows = []
    for name, model in models.items():
        gains = [-2.0 if gain is None else gain for gain in model.numbers.get("cophenetic_height_gain", [])]
        if gains:
            best = gains.index(max(gains))
            cells = [number(model.numbers[key][best]) if key in model.numbers else "-" for key in (*_CHARTS, "R")]
            rows.append([esc(name), esc(model.layers[best]), *cells])
    heads = [
        "model",
        "best layer",
        "rank correlation",
        "kin nearest",
        "severity",
        "inconsistency",
        "dials that hold",
        "R of its SAE",
    ]
    return table("The models at their most hierarchical layer", heads, rows)

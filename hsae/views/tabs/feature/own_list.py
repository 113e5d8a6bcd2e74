"""The visitor's own list of features: in the link, and to take along as CSV or JSON."""

from __future__ import annotations

import base64
import json
from typing import Any

import pandas as pd

from hsae.report.shown_names import name_of
from hsae.views.page.desk import numbered_name, trust
from hsae.views.page.kept import read_kept, write_feature
from hsae.views.page.models import Model
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import button, esc, table

_NUMBERS = ("node_precision", "node_recall", "node_lift", "frequency")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would run when a cell begins with it."""


def list_html(model: Model, kept: str) -> str:
    """The features of a list with what is known of their names, and links that save them; empty for an empty list."""
    features = read_kept(kept, model.sizes)
    if not features:
        return ""
    rows = []
    for layer, latent in features:
        row, at = model.latents(layer).iloc[latent], write_feature((layer, latent))
        off = button("take off", ("keep", at), title="Take it off the list")
        rows.append(
            [button(numbered_name(row, latent), ("feature", at)), esc(short_layer(layer)), esc(trust(row)), off]
        )
    records = [record(model, *feature) for feature in features]
    files = {
        "csv": ("text/csv", pd.DataFrame(records).map(_as_cell).to_csv(index=False)),
        "json": ("application/json", json.dumps({"model": model.name, "features": records}, indent=1)),
    }
    saves = " ".join(_save(kind, *file) for kind, file in files.items())
    return (
        f"<h3>Your list ({len(features)})</h3>{table('Your list', ['feature', 'layer', 'name', ''], rows)}"
        f'<p class="hsae-hint">The list is in the link of this page. Save it as {saves}.</p>'
    )


def record(model: Model, layer: str, latent: int) -> dict[str, Any]:
    """A feature in plain JSON: its layer, number and name, and how far the name is true; null where not known."""
    row = model.latents(layer).iloc[latent]
    numbers = {name: float(row[name]) if name in row and pd.notna(row[name]) else None for name in _NUMBERS}
    return {"layer": layer, "latent": latent, "name": name_of(row)} | numbers


def _as_cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value


def _save(kind: str, mime: str, text: str) -> str:
    data = base64.b64encode(text.encode()).decode()
    return f'<a class="hsae-link" download="features.{kind}" href="data:{mime};base64,{data}">{kind.upper()}</a>'

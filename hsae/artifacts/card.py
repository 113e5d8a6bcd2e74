"""Model and Space cards, rendered from the templates in hub_cards/ beside the package, in a checkout and installed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from hsae.artifacts.documents.examples import read_examples
from hsae.artifacts.save import save_artifact
from hsae.errors import InputError
from hsae.report.columns import LAYER_NUMBERS

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

    from hsae.artifacts.contents import Contents
    from hsae.artifacts.sae_folder import Dtype

UNPUBLISHED = "org/name"
"""Stands in a card for the repository until the artifact is pushed to one."""
TAGS = ["hsae", "sparse-autoencoder", "sae", "interpretability", "mechanistic-interpretability", "vision", "wordnet"]
GRADIO = "6.31.0"
_TEMPLATES = Path(__file__).parents[2] / "hub_cards"
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_DATASET_ID = re.compile(r"([\w-][\w.-]*/)?[\w-][\w.-]*")
_SHOWN = ("fvu", "l0", "dead", "acc1_x", "probe_kept", "n_multi_class", "median_coverage", "median_log2_coverage")
_COLUMNS = {key: LAYER_NUMBERS[key] for key in _SHOWN}
_PANELS = {key: _COLUMNS[key] for key in ("fvu", "acc1_x", "probe_kept", "median_coverage")}
WIDTH, HEIGHT, MARGIN = 220, 150, 30
FIGURE = "layers.svg"
_METRICS = ("fvu", "l0", "dead", "acc1_x", "probe_kept", "median_coverage", "median_log2_coverage")


def save_with_card(
    artifact: Contents, folder: str | Path, dtype: Dtype = "float16", command: str | None = None
) -> Path:
    """Save an artifact with its model card and the card's figure; command: what trained it."""
    figures = {FIGURE: layer_figure(_measured(artifact), _PANELS)}
    card = render_card(artifact, command=command, figures=list(figures))
    return save_artifact(artifact, folder, dtype, card, figures)


def render_card(
    artifact: Contents,
    name: str = UNPUBLISHED,
    *,
    command: str | None = None,
    license: str = "apache-2.0",
    figures: Sequence[str] = (),
) -> str:
    """README.md of an artifact in the repository `name`: front matter with model-index, measures, how to load it.

    command: what trained it; figures: file names under card/. InputError when hub_cards/ is not beside the package.
    """
    from huggingface_hub import ModelCard

    measured = _measured(artifact)
    card = ModelCard.from_template(
        _card_data(artifact, name, license, measured),
        template_path=str(_template("model_card.md")),
        name=name,
        title=f"SAEs of {artifact.backbone['id']}",
        backbone=artifact.backbone,
        dataset=artifact.dataset,
        taxonomy=artifact.taxonomy_rule,
        layers=artifact.layers,
        example=artifact.index.layers[-1],
        schema=artifact.index.schema,
        table=_table(measured),
        effects=any("median_log2_coverage" in row for row in measured.values()),
        command=command,
        license=license,
        figures=figures,
        examples=read_examples(artifact.document("examples")),
    )
    return _tidy(str(card))


def render_space_card(artifacts: Sequence[str], title: str = "hsae") -> str:
    """README.md of a Space that shows the artifacts `org/name`, which are fetched while it is built."""
    from huggingface_hub import SpaceCard, SpaceCardData

    data = SpaceCardData(
        title=title, emoji="🌳", colorFrom="green", colorTo="indigo", sdk="gradio", sdk_version=GRADIO,
        python_version="3.11", app_file="app.py", license="apache-2.0", models=list(artifacts), tags=TAGS,
        preload_from_hub=list(artifacts), suggested_hardware="cpu-basic",
    )  # fmt: skip
    template = str(_template("space_card.md"))
    return _tidy(str(SpaceCard.from_template(data, template_path=template, title=title, models=artifacts)))


def _measured(artifact: Contents) -> dict[str, dict[str, float]]:
    return {layer: _measures(artifact.curves.get(layer, {})) for layer in artifact.layers}


def _measures(curves: dict[str, Any]) -> dict[str, float]:
    """A layer's numbers for the card: those of curves.json that are known, and the share of probe accuracy kept."""
    known = {key: curves[key] for key in _COLUMNS if isinstance(curves.get(key), int | float)}
    if known.get("acc1_x") and isinstance(curves.get("acc1_x_hat"), int | float):
        known["probe_kept"] = curves["acc1_x_hat"] / known["acc1_x"]
    return known


def _card_data(artifact: Contents, name: str, license: str, measured: dict[str, dict[str, float]]) -> ModelCardData:
    from huggingface_hub import ModelCardData

    backbone, dataset = artifact.backbone["id"], artifact.dataset["id"]
    results = [
        _result(artifact, layer, key, row[key]) for layer, row in measured.items() for key in _METRICS if key in row
    ]
    return ModelCardData(
        library_name="hsae",
        pipeline_tag="image-feature-extraction",
        license=license,
        tags=[*TAGS, "arxiv:2505.15970"],
        base_model=backbone if _HUB_ID.fullmatch(backbone) else None,
        datasets=[dataset] if _DATASET_ID.fullmatch(dataset) else None,
        model_name=_model_name(artifact, name) if results else None,
        eval_results=results or None,
    )


def _model_name(artifact: Contents, name: str) -> str:
    return f"SAEs of {artifact.backbone['id']}" if name == UNPUBLISHED else name.split("/")[-1]


def _result(artifact: Contents, layer: str, key: str, value: float) -> EvalResult:
    from huggingface_hub import EvalResult

    return EvalResult(
        task_type="image-feature-extraction",
        dataset_type=artifact.dataset["id"],
        dataset_name=artifact.dataset["id"],
        dataset_split=artifact.dataset["split"],
        metric_type=key,
        metric_value=round(value, 4),
        metric_name=f"{_COLUMNS[key]}, {layer}",
    )


def _table(measured: dict[str, dict[str, float]]) -> str:
    """Markdown, one row per layer; columns that no layer has are left out."""
    columns = [key for key in _COLUMNS if any(key in row for row in measured.values())]
    lines = [["layer", *(_COLUMNS[key] for key in columns)], ["---"] * (len(columns) + 1)]
    for layer, row in measured.items():
        lines.append([f"`{layer}`", *(f"{row[key]:.4g}" if key in row else "" for key in columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _template(name: str) -> Path:
    path = _TEMPLATES / name
    if not path.is_file():
        raise InputError(
            f"No card template {path}", "the folder hub_cards, which a wheel has too", "Install hsae again"
        )
    return path


def _tidy(text: str) -> str:
    """Without the empty lines that the template's conditions leave behind."""
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def layer_figure(measured: Mapping[str, Mapping[str, float]], titles: Mapping[str, str]) -> str:
    """One panel per measure in `titles` {key: title} that some layer has: x the layer, y from 0 to the largest."""
    keys = [key for key in titles if any(key in row for row in measured.values())]
    panels = [_panel(number, titles[key], measured, key) for number, key in enumerate(keys)]
    size = f'width="{WIDTH * max(1, len(keys))}" height="{HEIGHT}"'
    style = 'font-family="sans-serif" font-size="11" fill="#444"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{"".join(panels)}</svg>\n'


def _panel(number: int, title: str, measured: Mapping[str, Mapping[str, float]], key: str) -> str:
    names, values = list(measured), [row.get(key) for row in measured.values()]
    top = max((abs(value) for value in values if value is not None), default=0) or 1
    left, bottom, inner = number * WIDTH + MARGIN, HEIGHT - MARGIN, WIDTH - 1.5 * MARGIN
    places = [
        f"{left + inner * i / max(1, len(values) - 1):.1f},{bottom - (bottom - MARGIN) * max(0, value) / top:.1f}"
        for i, value in enumerate(values)
        if value is not None
    ]
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2.5"/>' for x, y in (place.split(",") for place in places))
    return (
        f'<g><text x="{left}" y="14" font-weight="bold">{escape(title)}</text>'
        f'<text x="{left}" y="{HEIGHT - 8}">{escape(names[0])} to {escape(names[-1])}, 0 to {top:.3g}</text>'
        f'<path d="M{left},{bottom}h{inner}" stroke="#bbb"/>'
        f'<polyline points="{" ".join(places)}" fill="none" stroke="#2171b5" stroke-width="2"/>'
        f'<g fill="#2171b5">{dots}</g></g>\n'
    )

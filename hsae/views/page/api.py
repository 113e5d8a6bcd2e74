"""What programs can ask (gradio_client, curl, MCP): the page's questions as six functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd

from hsae.errors import InputError
from hsae.hierarchy import wordnet
from hsae.session import Session
from hsae.steering.edits import Edit
from hsae.views.lanes import Lane
from hsae.views.page.desk import Desk
from hsae.views.page.models import Model
from hsae.views.page.photos import Photos
from hsae.views.page.uploads import file_only, read_upload

_DECIMALS = 6
_SEED = 0  # of the random controls
_RELATIVES = 100
_PHOTOS_KEPT = 8


class Api:
    """Each function takes the name of a model, "" for the first."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.photos = Photos(_PHOTOS_KEPT)  # its own, so that programs do not crowd out what visitors look at

    def classes(self, image: str, model: str, layer: str, top: float) -> list[dict[str, Any]]:
        """Most likely classes of an image at a layer ("" for the last): wnid, name, probability."""
        known = self._model(model)
        return _records(self._session(image, known).classes(_layer(known, layer), top=_count(top)))

    def latents(self, image: str, model: str, layer: str, top: float) -> list[dict[str, Any]]:
        """Strongest features of an image at a layer ("" for the last): latent, activation, strength, label, ..."""
        known = self._model(model)
        return _records(self._session(image, known).latents(_layer(known, layer), top=_count(top)))

    def relevancy(self, image: str, model: str, layer: str, latent: float, method: str) -> dict[str, Any]:
        """Relevance of every patch of an image for a feature by a method ("" for the best): values by row, ..."""
        known = self._model(model)
        found = self._session(image, known).relevancy(*_feature(known, layer, latent), method or None)
        return {
            "values": _rounded(found.values), "method": found.method, "layer": found.layer,
            "target_value": found.target_value,
        }  # fmt: skip

    def faithfulness(self, image: str, model: str, layer: str, latent: float, method: str) -> dict[str, Any]:
        """A feature as patches are removed by a method's relevance ("" for the best): fractions, morf, random, lerf."""
        known = self._model(model)
        curve = self._session(image, known).faithfulness(*_feature(known, layer, latent), method or None)
        curves = {name: _rounded(getattr(curve, name)) for name in ("fractions", "morf", "random", "lerf")}
        return {
            **curves,
            "baseline": curve.baseline,
            "gap": _finite(curve.gap),
            "random_gap": _finite(curve.random_gap),
        }

    def feature(self, model: str, layer: str, latent: float) -> dict[str, Any]:
        """All that is known of a feature without an image: its row of the table, profile, relatives in the tree."""
        known = self._model(model)
        layer, at = _feature(known, layer, latent)
        table, edges = known.latents(layer), known.edges(layer)
        profile, classes = known.profile(layer, at), known.artifact.classes
        return {
            "layer": layer,
            "latent": at,
            **_records(table.iloc[[at]])[0],
            "histogram": profile and list(profile.counts),
            "classes": profile
            and [{"wnid": classes[c], "name": wordnet().name(classes[c]), "percent": p} for c, p in profile.classes],
            "above": _relatives(table, ((parent, share) for parent, child, share in edges if child == at)),
            "below": _relatives(table, ((child, share) for parent, child, share in edges if parent == at)),
        }

    def steer(self, image: str, model: str, edit: str, control: bool) -> dict[str, Any]:
        """Class probabilities and WordNet branches before and after an edit, the JSON text of `hsae.Edit.to_json`."""
        known = self._model(model)
        result = self._session(image, known).steer(Edit.from_json(edit), control_seed=_SEED if control else None)
        branches = result.mass_changes(known.taxonomy, threshold=0.5 * 10**-_DECIMALS)
        return {
            "classes": list(result.classes),
            "probabilities_before": _rounded(result.probabilities_before),
            "probabilities_after": _rounded(result.probabilities_after),
            "probabilities_control": _rounded(result.probabilities_control),
            "probabilities_feature_control": _rounded(result.probabilities_feature_control),
            "mass_changes": {node: round(gained, _DECIMALS) for node, gained in branches.items()},
            "delta_norm_ratio": result.delta_norm_ratio,
        }

    def _model(self, name: str) -> Model:
        name = name or next(iter(self.desk.models))
        if name not in self.desk.models:
            raise InputError(f"model {name[:80]!r}", f"one of {', '.join(self.desk.models)}")
        return self.desk.models[name]

    def _session(self, image: str, model: Model) -> Session:
        model.session(wait=True)
        return self.photos.session(model, self.photos.add(read_upload(image)))


def build(desk: Desk) -> None:
    """The endpoints, and the unseen components that give them their types."""
    api = Api(desk)
    image = file_only(gr.Image(type="filepath", image_mode=None, label="image", visible=False))
    words = ("model", "layer", "method", "edit")
    model, layer, method, edit = (gr.Textbox("", label=word, visible=False) for word in words)
    top, latent = gr.Number(10, label="top", visible=False), gr.Number(0, label="latent", visible=False)
    control = gr.Checkbox(False, label="control", visible=False)
    asked: dict[Callable[..., Any], list[gr.components.Component]] = {
        api.classes: [image, model, layer, top],
        api.latents: [image, model, layer, top],
        api.relevancy: [image, model, layer, latent, method],
        api.faithfulness: [image, model, layer, latent, method],
        api.feature: [model, layer, latent],
        api.steer: [image, model, edit, control],
    }
    lane = Lane("calls of the API", threads=1, each=8, everybody=32)
    answer, ask = gr.JSON(visible=False), gr.Button(visible=False)
    for function, inputs in asked.items():
        ask.click(
            lane.handler(function), inputs, answer, api_name=function.__name__, api_description=function.__doc__,
        )  # fmt: skip


def _layer(model: Model, layer: str) -> str:
    layers = model.artifact.layers
    if layer and layer not in layers:
        raise InputError(f"layer {layer[:80]!r}", f"one of {', '.join(layers)}")
    return layer or layers[-1]


def _feature(model: Model, layer: str, latent: float) -> tuple[str, int]:
    """A layer, and a latent that it has."""
    layer = _layer(model, layer)
    n = len(model.latents(layer))
    if latent not in range(n):
        raise InputError(f"latent {latent!r}", f"a whole number from 0 to {n - 1}")
    return layer, int(latent)


def _count(top: float) -> int:
    if top is None or not 1 <= top <= 1000:
        raise InputError(f"top {top!r}", "1 to 1000")
    return int(top)


def _relatives(table: pd.DataFrame, found: Iterable[tuple[int, float]]) -> list[dict[str, Any]]:
    """The features above or below one in the tree, the closest first; share: of the lower one's images."""
    closest = sorted(found, key=lambda pair: -pair[1])[:_RELATIVES]
    return [{"latent": at, "label": str(table["label"].iloc[at]), "share": share} for at, share in closest]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain JSON: what is not known is null."""
    return json.loads(table.to_json(orient="records", double_precision=_DECIMALS))


def _rounded(values: np.ndarray | None) -> list[Any] | None:
    return None if values is None else np.round(values.astype(float), _DECIMALS).tolist()


def _finite(value: float) -> float | None:
    return round(value, _DECIMALS) if np.isfinite(value) else None

"""What programs can ask (gradio_client, curl): the page's questions as four functions of a photograph."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd

from hsae.errors import InputError
from hsae.session import Session
from hsae.steering.edits import Edit
from hsae.views.desk import Desk
from hsae.views.uploads import file_only, in_words, read_upload

_DECIMALS = 6


class Api:
    """Each function takes an image file and the name of a model ("" for the first)."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def classes(self, image: str, model: str, layer: str, top: float) -> list[dict[str, Any]]:
        """Most likely classes of an image at a layer ("" for the last): wnid, name, probability."""
        session = self._session(image, model)
        return _records(session.classes(_layer(session, layer), top=_count(top)))

    def latents(self, image: str, model: str, layer: str, top: float) -> list[dict[str, Any]]:
        """Strongest features of an image at a layer ("" for the last): latent, activation, strength, label, ..."""
        session = self._session(image, model)
        return _records(session.latents(_layer(session, layer), top=_count(top)))

    def relevancy(self, image: str, model: str, layer: str, latent: float, method: str) -> dict[str, Any]:
        """Relevance of every patch of an image for a feature: values by row, method, layer, target_value."""
        session = self._session(image, model)
        found = session.relevancy(_layer(session, layer), int(latent), method)
        rows = np.round(found.values.astype(float), _DECIMALS).tolist()
        return {"values": rows, "method": found.method, "layer": found.layer, "target_value": found.target_value}

    def steer(self, image: str, model: str, edit: str) -> dict[str, Any]:
        """Class probabilities before and after an edit, given as the JSON text of `hsae.Edit.to_json`."""
        result = self._session(image, model).steer(Edit.from_json(edit))
        before, after = (
            np.round(p.astype(float), _DECIMALS).tolist()
            for p in (result.probabilities_before, result.probabilities_after)
        )
        return {
            "classes": list(result.classes),
            "probabilities_before": before,
            "probabilities_after": after,
            "delta_norm_ratio": result.delta_norm_ratio,
        }

    def _session(self, image: str, model: str) -> Session:
        name = model or next(iter(self.desk.models))
        if name not in self.desk.models:
            raise InputError(f"model {name[:80]!r}", f"one of {', '.join(self.desk.models)}")
        self.desk.models[name].session(wait=True)
        return self.desk.photos.session(self.desk.models[name], self.desk.photos.add(read_upload(image)))


def build(desk: Desk) -> None:
    """Endpoints /classes, /latents, /relevancy and /steer, and the unseen components that give them their types."""
    api = Api(desk)
    image = file_only(gr.Image(type="filepath", image_mode=None, label="image", visible=False))
    model, layer = (gr.Textbox("", label=name, visible=False) for name in ("model", "layer"))
    top, latent = gr.Number(10, label="top", visible=False), gr.Number(0, label="latent", visible=False)
    method, edit = (gr.Textbox(value, label=label, visible=False) for value, label in
                    (("gradient_rollout", "method"), ("", "edit")))  # fmt: skip
    asked: dict[Callable[..., Any], list[gr.components.Component]] = {
        api.classes: [image, model, layer, top],
        api.latents: [image, model, layer, top],
        api.relevancy: [image, model, layer, latent, method],
        api.steer: [image, model, edit],
    }
    answer, ask = gr.JSON(visible=False), gr.Button(visible=False)
    for function, inputs in asked.items():
        ask.click(
            in_words(function), inputs, answer, api_name=function.__name__,
            api_description=function.__doc__, concurrency_id="model",
        )  # fmt: skip


def _layer(session: Session, layer: str) -> str:
    return layer or session.artifact.layers[-1]


def _count(top: float) -> int:
    if not 1 <= top <= 1000:
        raise InputError(f"top {top!r}", "1 to 1000")
    return int(top)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain JSON: what is not known is null."""
    return json.loads(table.to_json(orient="records", double_precision=_DECIMALS))

"""What programs can ask (gradio_client, curl, MCP): the page's questions as functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import gradio as gr
import pandas as pd

from hsae.errors import InputError
from hsae.hierarchy import wordnet
from hsae.measures.plain import rounded
from hsae.relevancy import RelevancyMap
from hsae.report.shown_names import said_first
from hsae.session import Session
from hsae.steering.edits import Edit
from hsae.views.page.arguments import (
    read_count,
    read_feature,
    read_layer,
    read_place,
    read_switch,
    read_text,
)
from hsae.views.page.desk import Desk
from hsae.views.page.lanes import Lane
from hsae.views.page.models import Model
from hsae.views.page.photos import Photos
from hsae.views.page.uploads import WHAT_COUNTS, as_sent, photo_input, read_upload

_DECIMALS = 6
_SEED = 0  # of the random controls
_RELATIVES = 100
_ARGUMENTS = {
    "image": WHAT_COUNTS,
    "model": 'name of a model of this app or of its patches, "" for the first',
    "layer": 'name of a layer such as block_11, "" for the last',
    "top": "how many rows, 1 to 1000",
    "latent": "number of a feature of the layer",
    "method": 'name of a relevancy method, "" for the best of the layer',
    "edit": "JSON text of hsae.Edit.to_json",
    "control": "whether to run the random controls too",
    "patches": 'JSON text of patches by row and column, [[7, 8], [7, 9]]; "" for all',
}  # what MCP tells an assistant
_PHOTOS_KEPT = 32  # of 4.7 MB each with the packaged artifacts: programs ask several things of each


class Api:
    """Each function takes the name of a model, "" for the first; arguments come as programs sent them, of any type."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.photos = Photos(_PHOTOS_KEPT)  # its own, so that programs do not crowd out what visitors look at

    def classes(self, image: object, model: object, layer: object, top: object) -> list[dict[str, Any]]:
        """Most likely classes of an image at a layer ("" for the last): wnid, name, probability."""
        photo, known = self._sent(image), self._model(model)
        return _records(self._session(photo, known).classes(read_layer(known, layer), top=read_count(top)))

    def latents(self, image: object, model: object, layer: object, top: object) -> list[dict[str, Any]]:
        """Features of an image at a layer ("" for the last): latent, activation, strength, said, likely, label, ...

        First those whose label is said of the image, the likeliest first by the layer's probe, then the others by
        activation. A label is "unnamed" where no name of the feature proved true often enough.
        """
        photo, known, at_most = self._sent(image), self._model(model), read_count(top)
        active = self._session(photo, known).active_latents(read_layer(known, layer), top=10**6)
        return _records(said_first(active).head(at_most))

    def relevancy(self, image: object, model: object, layer: object, latent: object, method: object) -> dict[str, Any]:
        """Relevance of every patch of an image for a feature by a method ("" for the best): values by row, ..."""
        photo, known = self._sent(image), self._model(model)
        method = read_text("method", method) or None
        heat = self._session(photo, known).relevancy(*read_feature(known, layer, latent), method)
        return {
            "values": rounded(heat.values, _DECIMALS), "method": heat.method, "layer": heat.layer,
            "target_value": heat.target_value,
        }  # fmt: skip

    def faithfulness(
        self, image: object, model: object, layer: object, latent: object, method: object
    ) -> dict[str, Any]:
        """A feature as patches are removed by a method's relevance ("" for the best): fractions, morf, random, lerf."""
        photo, known = self._sent(image), self._model(model)
        method = read_text("method", method) or None
        curve = self._session(photo, known).faithfulness(*read_feature(known, layer, latent), method)
        curves = {name: rounded(getattr(curve, name), _DECIMALS) for name in ("fractions", "morf", "random", "lerf")}
        return {
            **curves,
            "baseline": curve.baseline,
            "gap": rounded(curve.gap, _DECIMALS),
            "random_gap": rounded(curve.random_gap, _DECIMALS),
        }

    def feature(self, model: object, layer: object, latent: object) -> dict[str, Any]:
        """All that is known of a feature without an image: its row of the table, profile, relatives in the tree."""
        known = self._model(model)
        name, at = read_feature(known, layer, latent)
        table, edges = known.latents(name), known.edges(name)
        profile, classes = known.profile(name, at), known.artifact.classes
        return {
            "layer": name,
            "latent": at,
            **_records(table.iloc[[at]])[0],
            "histogram": profile and list(profile.counts),
            "classes": profile
            and [{"wnid": classes[c], "name": wordnet().name(classes[c]), "percent": p} for c, p in profile.classes],
            "above": _relatives(table, ((parent, share) for parent, child, share in edges if child == at)),
            "below": _relatives(table, ((child, share) for parent, child, share in edges if parent == at)),
        }

    def steer(self, image: object, model: object, edit: object, control: object) -> dict[str, Any]:
        """Class probabilities and WordNet branches before and after an edit, the JSON text of `hsae.Edit.to_json`."""
        photo, known = self._sent(image), self._model(model)
        seed = _SEED if read_switch("control", control) else None
        result = self._session(photo, known).steer(Edit.from_json(read_text("edit", edit)), control_seed=seed)
        branches = result.mass_changes(known.taxonomy, threshold=0.5 * 10**-_DECIMALS)
        return {
            "classes": list(result.classes),
            "probabilities_before": rounded(result.probabilities_before, _DECIMALS),
            "probabilities_after": rounded(result.probabilities_after, _DECIMALS),
            "probabilities_control": rounded(result.probabilities_control, _DECIMALS),
            "probabilities_feature_control": rounded(result.probabilities_feature_control, _DECIMALS),
            "mass_changes": {node: round(gained, _DECIMALS) for node, gained in branches.items()},
            "delta_norm_ratio": result.delta_norm_ratio,
            "silent": [{"layer": change.layer, "latent": change.latent} for change in result.silent],
        }

    def patch_latents(
        self, image: object, model: object, layer: object, top: object, patches: object
    ) -> list[dict[str, Any]]:
        """Features of patches of an image at a layer, as `latents`: at the patches [[row, column], ...], "" for all."""
        photo, known = self._sent(image), self._patches(model)
        at_most, place = read_count(top), read_place(patches)
        active = self._session(photo, known).active_latents(read_layer(known, layer), top=10**6, place=place)
        return _records(said_first(active).head(at_most))

    def patch_relevancy(
        self, image: object, model: object, layer: object, latent: object, method: object, patches: object
    ) -> dict[str, Any]:
        """As `relevancy`, of what a feature of patches is at the patches [[row, column], ...] on average."""
        photo, known, place = self._sent(image), self._patches(model), read_place(patches)
        method = read_text("method", method) or None
        return _map(self._session(photo, known).relevancy(*read_feature(known, layer, latent), method, place))

    def activation_map(self, image: object, model: object, layer: object, latent: object) -> dict[str, Any]:
        """Where a feature of patches fires in an image, and how strongly: values by row, 0 where it is silent, ..."""
        photo, known = self._sent(image), self._patches(model)
        return _map(self._session(photo, known).activation_map(*read_feature(known, layer, latent)))

    def examples(self, model: object, layer: object, latent: object, top: object) -> list[dict[str, Any]]:
        """The starter photographs on which a feature is strongest: key, activation, and of patches where it fires."""
        known = self._model(model)
        found = known.session(wait=True).examples(*read_feature(known, layer, latent), read_count(top))
        return [
            {"key": one.key, "activation": rounded(one.activation, _DECIMALS), "values": one.map and _values(one.map)}
            for one in found
        ]

    def _model(self, name: object) -> Model:
        name = read_text("model", name) or next(iter(self.desk.models))
        named = self.desk.models.named
        if name not in named:
            raise InputError(f"model {name!r}", f"one of {', '.join(named)}")
        return named[name]

    def _patches(self, name: object) -> Model:
        """The model by its features of patches; InputError when it has none."""
        model = self._model(name)
        found = model if model.artifact.token == "patch" else model.patches
        if found is None:
            raise InputError(f"model {model.name!r}, which has no features of patches", "a model that has some")
        return found

    def _sent(self, image: object) -> str:
        """Key of a photograph that was sent: opened before all else, so that a refused question leaves no file."""
        return self.photos.add(read_upload(image))

    def _session(self, photo: str, model: Model) -> Session:
        model.session(wait=True)
        return self.photos.session(model, photo)


def build(desk: Desk) -> None:
    """The endpoints, and the unseen components that give them their types."""
    api = Api(desk)
    image = photo_input(gr.Image(label="image", visible=False))
    words = ("model", "layer", "method", "edit", "patches")
    model, layer, method, edit, patches = (as_sent(gr.Textbox("", label=word, visible=False)) for word in words)
    top, latent = (as_sent(gr.Number(n, label=word, visible=False)) for word, n in (("top", 10), ("latent", 0)))
    control = as_sent(gr.Checkbox(False, label="control", visible=False))
    asked: dict[Callable[..., Any], list[gr.components.Component]] = {
        api.classes: [image, model, layer, top],
        api.latents: [image, model, layer, top],
        api.relevancy: [image, model, layer, latent, method],
        api.faithfulness: [image, model, layer, latent, method],
        api.feature: [model, layer, latent],
        api.steer: [image, model, edit, control],
        api.patch_latents: [image, model, layer, top, patches],
        api.patch_relevancy: [image, model, layer, latent, method, patches],
        api.activation_map: [image, model, layer, latent],
        api.examples: [model, layer, latent, top],
    }
    lane = Lane("calls of the API", threads=1, each=8, everybody=32)
    answer, ask = gr.JSON(visible=False), gr.Button(visible=False)
    for function, inputs in asked.items():
        told = lane.handler(function)
        told.__doc__ = "\n".join(["Args:", *(f"{part.label}: {_ARGUMENTS[str(part.label)]}" for part in inputs)])
        ask.click(
            told, inputs, answer, api_name=function.__name__, api_description=function.__doc__,
        )  # fmt: skip


def _map(found: RelevancyMap) -> dict[str, Any]:
    return {
        "values": _values(found), "method": found.method, "layer": found.layer, "target_value": found.target_value,
    }  # fmt: skip


def _values(found: RelevancyMap) -> list[list[float]]:
    """Row by row."""
    return rounded(found.values, _DECIMALS)


def _relatives(table: pd.DataFrame, relatives: Iterable[tuple[int, float]]) -> list[dict[str, Any]]:
    """The features above or below one in the tree, the closest first; share: of the lower one's images."""
    closest = sorted(relatives, key=lambda pair: -pair[1])[:_RELATIVES]
    return [{"latent": at, "label": str(table["label"].iloc[at]), "share": share} for at, share in closest]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain JSON: what is not known is null."""
    return json.loads(table.to_json(orient="records", double_precision=_DECIMALS))

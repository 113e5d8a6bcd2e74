"""The tabs of the page."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from hsae.views.page.desk import Desk
from hsae.views.parts.markup import attributes
from hsae.views.parts.view import View, asset
from hsae.views.tabs.carries import carries
from hsae.views.tabs.compare import compare
from hsae.views.tabs.feature import feature
from hsae.views.tabs.hierarchy import hierarchy
from hsae.views.tabs.layers import layers
from hsae.views.tabs.relevancy import relevancy
from hsae.views.tabs.steer import steer

TABS: dict[str, Callable[[Desk], list[View]]] = {
    "carries": carries.build,
    "steer": steer.build,
    "relevancy": relevancy.build,
    "feature": feature.build,
    "layers": layers.build,
    "hierarchy": hierarchy.build,
    "compare": compare.build,
}
"""Name, which also stands in links, and what builds its components and returns its views; in the order of the page."""
TITLES = {
    "carries": "What carries it",
    "steer": "Turn it",
    "relevancy": "Where",
    "feature": "Features",
    "layers": "All layers",
    "hierarchy": "Hierarchy",
    "compare": "Compare",
}
"""What each tab is called on the page."""


def build_tabs(desk: Desk) -> list[View]:
    """The tabs and all views under them, each in a column that `tabs_css` shows while its tab is selected.

    Gradio's own Tabs also report a selection that the server made, which would then answer its own echo.
    """
    scripts = asset("parts/pick.js") + asset("parts/arrows.js") + asset("page/tabs.js")
    tabs = gr.HTML(js_on_load=scripts, apply_default_css=False, elem_id="tabs")
    views = [View("tabs", ("view",), [tabs], lambda s: [tabs_html(s.view)], pickers=[tabs])]
    for name, build in TABS.items():
        with gr.Column(elem_id=f"view-{name}", elem_classes="hsae-view"):
            views += build(desk)
    return views


def tabs_html(selected: str) -> str:
    """One tab per view."""
    tabs = "".join(
        f'<button type="button" role="tab" class="hsae-pick" {attributes(("view", name))} aria-controls="view-{name}"'
        f' aria-selected="{str(name == selected).lower()}">{TITLES[name]}</button>'
        for name in TABS
    )
    return f'<div class="hsae-tabs" role="tablist" aria-label="Views">{tabs}</div>'


def tabs_css() -> str:
    """Show the column of the selected tab, which style.css hides with the others."""
    shown = (
        f'#right:has(#tabs [data-value="{name}"][aria-selected="true"]) > #view-{name} {{ display: flex; }}'
        for name in TABS
    )
    return "\n".join(shown)

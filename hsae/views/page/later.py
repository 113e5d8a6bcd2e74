"""Views that take their time: each kind follows in calls and a lane of its own, when one of them is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from hsae.views.page.drawing import Drawing, keys
from hsae.views.page.lanes import Lane
from hsae.views.page.selection import Selection
from hsae.views.parts.view import View

Asked = dict[str, list[Any]]
"""By name what each open view should look like (`drawing.keys`)."""


class Later:
    """The views of one kind; made inside a `gr.Blocks`.

    Every event of the page says in `asked` what they should show now. A call follows when that changed, so that a step
    of a slider costs no call of the heat maps.
    """

    def __init__(self, kind: str, views: Sequence[View], drawing: Drawing) -> None:
        self.kind, self.views, self.drawing = kind, list(views), drawing
        self.lane = Lane(kind, threads=1, each=32, everybody=48)
        self.asked, self.drawn = gr.State(None), gr.State({})
        self.outputs = [self.asked, self.drawn, *(out for view in self.views for out in view.outputs)]

    def wire(self, selection: gr.State, idle: gr.components.Component) -> None:
        """The event that draws them; it shows that it is under way on what visitors see of them, else on `idle`.

        Not on every output: of each of those the browser would copy all values at each sign of progress. When a visitor
        leaves a view, the server stops working on it (`looking`), and the event ends. Gradio's own cancelling is of no
        use: what its page has cancelled it may take to be under way for ever, and then it never asks for the views of
        the tab that was opened. Of several asked for meanwhile the last is drawn.
        """
        seen = [view.outputs[0] for view in self.views if _is_text(view.outputs[0])]
        self.asked.change(
            self.lane.handler(self.draw), [selection, self.asked, self.drawn], self.outputs,
            trigger_mode="always_last", api_visibility="private", show_progress="minimal",
            show_progress_on=seen or [idle],
        )  # fmt: skip

    def wanted(self, selection: Selection) -> Asked:
        """What they should show of a selection."""
        return keys(self.views, selection)

    def draw(self, selection: Selection, asked: Asked | None, drawn: dict[str, Any]) -> list[Any]:
        """What is asked for, what is drawn of it, and a value for every output.

        Nothing is asked for any more where something went wrong, so that the next event asks anew. What the page has
        left is skipped: the event by which it did asks for what follows.
        """
        if asked is None:
            return [gr.skip()] * len(self.outputs)
        drawn = dict(drawn)
        values = self.drawing.values(self.views, selection, drawn)
        looked_at = self.drawing.looking.of(self.wanted(selection))
        failed = not looked_at.keys() <= drawn.keys()
        return [None if failed else gr.skip(), drawn, *values]


def _is_text(component: gr.components.Component) -> bool:
    """Whether it shows its value as it is."""
    return isinstance(component, gr.HTML) and component.html_template == "${value}"

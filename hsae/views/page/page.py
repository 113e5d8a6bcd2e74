"""The page: lays the views out and wires every click to the one shared selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr
from PIL import Image

from hsae.views.page import about, bar, photo, share
from hsae.views.page.desk import Desk
from hsae.views.page.drawing import Drawing
from hsae.views.page.edit_text import Steps
from hsae.views.page.lanes import Lane
from hsae.views.page.later import Later
from hsae.views.page.salience import salient_place
from hsae.views.page.selection import Selection
from hsae.views.page.squares import placed, split_key, square_box
from hsae.views.page.state import Choices
from hsae.views.page.tabs import build_tabs
from hsae.views.page.turns import Turns
from hsae.views.page.uploads import as_shown, photo_input, read_upload
from hsae.views.parts.charts import square_marked
from hsae.views.parts.say import warn
from hsae.views.parts.view import LATER, Controls, View
from hsae.views.tabs.concept import concept

_TITLE = (
    '<a class="hsae-skip" href="#tabs">Skip to the views</a>'
    "<h1>Where does this vision model know what a dog is?</h1><p>Pick a photo, watch the concept appear layer by"
    " layer, and turn it up or down.</p>"
)
_SKIP = """
element.querySelector('.hsae-skip').addEventListener('click', (event) => {
  event.preventDefault(); // another address would be a step back
  document.querySelector('#tabs [aria-selected="true"]').focus();
});
"""
_ANSWERED = "() => { window.hsaeTurns.answered(); }"
"""For pick.js, which holds the next choice back until then."""


class Page:
    """All components of the page; made inside a `gr.Blocks`.

    Every event is one call: it sets a field of the selection and redraws the views that read this field. Slow views
    follow in calls of their own (`Later`), in lanes of their own, so that nobody's heat maps hold up a page.
    """

    def __init__(self, desk: Desk, choices: Choices) -> None:
        self.desk, self.choices, self.drawing = desk, choices, Drawing()
        self.lane, self.turns = Lane("clicks", threads=4, each=32, everybody=96), Turns()
        self.selection, self.drawn, self.shown = gr.State(choices.first()), gr.State({}), gr.State("")
        self.steps = gr.State(Steps())
        gr.HTML(_TITLE, js_on_load=_SKIP, apply_default_css=False, elem_id="title")
        views, share_buttons = bar.build(desk, choices)
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=1, min_width=300, elem_id="left"):
                left, self.image = photo.build(desk)
            with gr.Column(scale=3, min_width=320, elem_id="right"):
                film = concept.build(desk)
                tabs = build_tabs(desk)
        about.build(desk)
        picture = View("picture", ("image",), [self.shown], lambda s: [s.image])
        every = [*views, picture, *left, *film, *tabs]
        self.views: list[View] = [view for view in every if not view.later]
        self.later = [Later(kind, [view for view in every if view.later == kind], self.drawing) for kind in LATER]
        self.waiting = gr.Timer(1.0, active=False)
        seen = (out for view in self.views for out in view.outputs)
        self.outputs = [self.selection, self.drawn, *seen, *(later.asked for later in self.later)]
        # Progress is shown on nothing: else the browser would copy every output's values at each sign of it, those of a
        # menu of hundreds of concepts too.
        self.options: dict[str, Any] = {
            "api_visibility": "private", "show_progress": "hidden", "show_progress_on": [self.waiting],
        }  # fmt: skip
        self._wire()
        share.wire(share_buttons, desk, self.selection)

    def _wire(self) -> None:
        state, lane = [self.selection, self.drawn], self.lane
        everything = [*self.views, *(view for later in self.later for view in later.views)]
        pickers = [component.select for view in everything for component in view.pickers]
        for later in self.later:
            later.wire(self.selection, self.waiting)
        picked: Any = gr.on(pickers, self.handler(self.pick), state, self.outputs, **self.options)
        self.tell_answered(picked)
        for table in (table for view in everything for table in view.tables):
            table.select(self.handler(self.pick_row), state, self.outputs, **self.options)
        for event, answer, component, output in (one for view in everything for one in view.answers):
            event(lane.handler(answer), [self.selection, component], output, **self.options)
        for event, field, component in (chooser for view in everything for chooser in view.choosers):
            event(self.handler(partial(self.choose, field)), [*state, component], self.outputs, **self.options)
        self.waiting.tick(self.handler(self.wait), state, [*self.outputs, self.waiting], **self.options)
        self._wire_photo(state)
        for view in everything:
            if view.controls:
                self._wire_controls(view, view.controls)

    def handler(self, function: Callable[..., Any], states: int = 2) -> Callable[..., Any]:
        """An event that changes the selection and what is drawn, and with three states the steps of sliders too."""
        return self.lane.handler(function, self.turns.states(states))

    def tell_answered(self, event: Any) -> None:
        """Let the browser's next choice follow when an event has ended, however it did."""
        for ended in (event.then, event.failure):
            ended(None, js=_ANSWERED, api_visibility="private")

    def _wire_photo(self, state: list[gr.State]) -> None:
        """The image is no output of a view, since it must only be given values (`photo_input`): it follows `shown`.

        It follows every upload too: the browser shows the uploaded file, which is deleted by then.
        """
        lane, sends = self.lane, [*state, photo_input(self.image)]
        sent = self.image.upload(self.handler(self.upload), sends, self.outputs, **self.options)
        for changed in (self.shown.change, sent.then):
            changed(lane.handler(self.picture), self.shown, self.image, **self.options)
        self.image.clear(self.handler(partial(self.choose, "image", value="")), state, self.outputs, **self.options)

    def _wire_controls(self, view: View, controls: Controls) -> None:
        state, outputs = [self.selection, self.drawn, self.steps], _with(self.steps, self.outputs)
        gr.on(
            [slider.input for slider in controls.sliders],
            self.handler(partial(self.move, view, controls), 3), [*state, *controls.sliders], outputs,
            trigger_mode="always_last", **self.options,
        )  # fmt: skip
        for button, step in zip(controls.steps, (Steps.back, Steps.forth, Steps.nothing), strict=False):
            button.click(self.handler(partial(self.step, step), 3), state, outputs, **self.options)

    def load(self, request: gr.Request) -> list[Any]:
        """What a new visitor sees: what the link says, drawn at once; the timer redraws what waits for the backbone."""
        selection, problems = self.choices.from_query(dict(request.query_params))
        for sentence in problems:
            warn(sentence)
        waits = self.desk.models.loading
        return [*self.draw(selection, {}), gr.Timer(active=waits)]

    def wait(self, selection: Selection, drawn: dict[str, Any]) -> list[Any]:
        """Draw what had to wait for a backbone; the timer stops when there is none left to wait for."""
        waits = self.desk.models.loading
        return [*self.draw(selection, drawn), gr.Timer(active=waits)]

    def pick(self, selection: Selection, drawn: dict[str, Any], event: gr.SelectData) -> list[Any]:
        """A click on something that names what it chooses."""
        return self.draw(self.choices.click(selection, event.index, event.value), drawn)

    def pick_row(self, selection: Selection, drawn: dict[str, Any], event: gr.SelectData) -> list[Any]:
        """A click on a row of a table of features."""
        return self.draw(self.choices.choose(selection, "latent", event.row_value[0]), drawn)

    def choose(self, field: str, selection: Selection, drawn: dict[str, Any], value: Any) -> list[Any]:
        """A choice in a menu, or a photo taken away."""
        return self.draw(self.choices.choose(selection, field, "" if value is None else value), drawn)

    def move(
        self, view: View, controls: Controls, selection: Selection, drawn: dict[str, Any], steps: Steps, *amounts: Any
    ) -> list[Any]:
        """Sliders of a view were moved: they already stand where they should, all else follows."""
        moved = self.choices.choose(selection, "edit", controls.moved(selection, amounts))
        steps = steps.at(selection.model, selection.layer).after(selection.edit, moved.edit)
        return _with(steps, self.draw(moved, drawn | {view.name: view.key(moved)}))

    def step(
        self, way: Callable[[Steps, str], tuple[str, Steps]], selection: Selection, drawn: dict[str, Any], steps: Steps
    ) -> list[Any]:
        """Undo, redo or reset."""
        edit, steps = way(steps.at(selection.model, selection.layer), selection.edit)
        return _with(steps, self.draw(self.choices.choose(selection, "edit", edit), drawn))

    def upload(self, selection: Selection, drawn: dict[str, Any], sent: object) -> list[Any]:
        """A photograph dropped, pasted or chosen."""
        image = read_upload(sent)
        key = placed(self.desk.photos.add(image), salient_place(image))
        return self.draw(self.choices.choose(selection, "image", key), drawn)

    def picture(self, key: str) -> Image.Image | None:
        """The photograph to show; after an upload that cannot be read, the one before it again."""
        if not key:
            return None
        whole, place = split_key(key)
        image = self.desk.photos.image(whole)
        return square_marked(image, square_box(image.size, place))

    def draw(self, selection: Selection, drawn: dict[str, Any]) -> list[Any]:
        """The new state, and a value for every output: the views that are open and out of date are drawn again."""
        drawn = dict(drawn)
        values = self.drawing.values(self.views, selection, drawn)
        asked = [later.wanted(selection) for later in self.later]
        self.drawing.looking.tell({view: key for kind in asked for view, key in kind.items()})
        return [selection, drawn, *values, *asked]

    def paint(self) -> None:
        """Put what a visitor without a link sees into the page itself, so that its first paint is complete."""
        first = self.choices.first()
        film = [view for later in self.later for view in later.views if later.kind == "film"]
        for view in [view for view in (*self.views, *film) if view.tab in ("", first.view) and view.name != "link"]:
            for component, value in zip(view.outputs, self.drawing.render(view, first, {}), strict=True):
                if isinstance(component, gr.Dropdown) and isinstance(value, gr.Dropdown):
                    component.choices, component.value = value.choices, value.value
                elif isinstance(component, gr.HTML | gr.Dropdown) and isinstance(value, str | dict):
                    component.value = value
        shown = self.picture(first.image)
        self.image.value = shown and as_shown(shown).model_dump()


def _with(steps: Any, answer: Sequence[Any]) -> list[Any]:
    """The answer with steps as a third state, behind the selection and what is drawn."""
    return [*answer[:2], steps, *answer[2:]]

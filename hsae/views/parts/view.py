"""A view: some components, and how they follow from the shared selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from hsae.views.page.selection import Selection
from hsae.views.parts.markup import notice

LATER = ("film", "effects of edits", "heat maps", "removal curves", "examples")
"""What takes long, each kind in calls and in a lane of its own."""
_VIEWS = Path(__file__).parents[1]


Answer = tuple[Callable[..., Any], Callable[[Selection, Any], Any], gr.components.Component, gr.components.Component]
"""(event, answer, component, output): the event shows `answer(selection, value of the component)` in the output, and
changes nothing else."""


@dataclass(frozen=True)
class Controls:
    """Sliders that make an edit, and buttons that go back and forth among those made."""

    sliders: Sequence[gr.Slider]
    moved: Callable[[Selection, Sequence[Any]], str]
    """Text of the edit that the sliders in these positions make (`edit_text`)."""
    steps: Sequence[gr.Button] = ()
    """Undo, redo and reset; none where those beside other sliders serve these too."""


@dataclass(frozen=True)
class View:
    """What a tab (or the bar, or the left column) shows."""

    name: str
    reads: Sequence[str]
    """Fields of the selection it depends on: it is drawn again only when one of them changes."""
    outputs: Sequence[gr.components.Component]
    """The first one, an HTML, also shows what went wrong."""
    render: Callable[[Selection], Sequence[Any]]
    """One value for each output; an HsaeError becomes a sentence in the first."""
    tab: str = ""
    """Drawn only while this tab is open; always when empty."""
    later: str = ""
    """One of `LATER`: drawn after the others, in a call of its own with those of the same name."""
    quiet: bool = False
    """Stay empty when something is wrong: the view beside it says the same."""
    pickers: Sequence[gr.HTML] = ()
    """Components whose clicks choose something (pick.js)."""
    choosers: Sequence[tuple[Callable[..., Any], str, gr.components.Component]] = ()
    """(event, field, component): the event sets the field to the component's value."""
    tables: Sequence[gr.Dataframe] = ()
    """A row chosen in one of them opens the feature that its first cell names."""
    answers: Sequence[Answer] = ()
    controls: Controls | None = None

    def key(self, selection: Selection) -> list[Any]:
        """Equal keys look the same."""
        return [getattr(selection, field) for field in self.reads]

    def nothing(self) -> list[Any]:
        """Leave the view as it is."""
        return [gr.skip()] * len(self.outputs)

    def problem(self, sentence: str, kind: str = "problem") -> list[Any]:
        """Show a sentence in place of the view."""
        return ["" if self.quiet else notice(sentence, kind), *[gr.skip()] * (len(self.outputs) - 1)]


def picker(value: str = "", **options: Any) -> gr.HTML:
    """An HTML whose elements with data-field and data-value choose something when clicked."""
    return gr.HTML(value, js_on_load=asset("parts/pick.js"), apply_default_css=False, **options)


def asset(name: str) -> str:
    """Text of a file beside this one."""
    return (_VIEWS / name).read_text(encoding="utf-8")

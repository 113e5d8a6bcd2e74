"""Views made into values for their outputs: those that are open, and only where they are out of date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hsae.errors import HsaeError
from hsae.views.page.looking import Looking, always
from hsae.views.page.models import BackboneLoading
from hsae.views.page.remembered import Remembered
from hsae.views.page.selection import Selection
from hsae.views.parts.left import Left, go_on, while_looked_at
from hsae.views.parts.say import brief
from hsae.views.parts.view import View


def keys(views: Sequence[View], selection: Selection) -> dict[str, list[Any]]:
    """By name what each of the open views looks like (`View.key`)."""
    return {view.name: view.key(selection) for view in views if view.tab in ("", selection.view)}


class Drawing:
    """Draws the views of a page; `drawn` holds by name what each view last showed."""

    def __init__(self) -> None:
        self._remembered = Remembered()
        self.looking = Looking()

    def values(self, views: Sequence[View], selection: Selection, drawn: dict[str, Any]) -> list[Any]:
        """A value for every output of the views; `drawn` learns what they show now."""
        values: list[Any] = []
        wanted = keys(views, selection)
        for view in views:
            if view.name in wanted and drawn.get(view.name) != wanted[view.name]:
                values += self.render(view, selection, drawn)
            else:
                values += view.nothing()
        return values

    def render(self, view: View, selection: Selection, drawn: dict[str, Any]) -> Sequence[Any]:
        """A view's values; what could not be drawn is not in `drawn`, so it is tried again at the next event."""
        drawn.pop(view.name, None)
        key = view.key(selection)
        try:
            with while_looked_at(self.looking.at(view.name, key) if view.later else always):
                go_on()
                values = self._remembered.values(view, selection)
        except Left:
            return view.nothing()
        except BackboneLoading as error:
            return view.problem(brief(error), kind="info")
        except HsaeError as error:
            return view.problem(brief(error))
        drawn[view.name] = key
        return values

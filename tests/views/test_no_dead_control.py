"""Whatever a view offers to click can be chosen: no control of any view leads to an error."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import pytest

from hsae.views.page.state import VIEWS, Choices
from tests.views.page.test_page import page_over

ACTION = re.compile(r'data-field="([^"]*)" data-value="([^"]*)"')


def offered(page, selection) -> set[tuple[str, str]]:
    """Every action in what the page draws, at once and later."""
    values = page.draw(selection, {})
    for later in page.later:
        values += later.draw(selection, {}, {})
    texts = (str(value) for value in values if isinstance(value, str | dict))
    return {(unescape(field), unescape(value)) for text in texts for field, value in ACTION.findall(text)}


@pytest.mark.parametrize("view", VIEWS)
def test_everything_that_is_offered_can_be_chosen(desk, view):
    page, choices = page_over(desk), Choices(desk.models, desk.photos)
    selection = replace(choices.first(), view=view, latent=2 if view == "feature" else None, patches="1.2")
    actions = offered(page, selection)
    assert len(actions) > 20
    for field, value in actions:
        choices.click(selection, field, value)


def test_a_dead_control_would_be_found(desk):
    choices = Choices(desk.models, desk.photos)
    with pytest.raises(Exception, match="Expected"):
        choices.click(choices.first(), "preset", "photos/farm/dog|5~1")

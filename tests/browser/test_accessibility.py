"""Everybody can use every view: axe-core finds nothing serious, and the keyboard reaches what the mouse does."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from hsae.views.page.state import VIEWS

pytestmark = [
    pytest.mark.slow,
    # The driver's own sockets, when it is closed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DRAWN = {
    "carries": "#carries table",
    "layers": "#layers figure",
    "hierarchy": "#hierarchy-table [role=gridcell]",
    "feature": "#feature-shots .hsae-still",
    "relevancy": "#removal summary",
    "steer": "#steer-result td b",
    "compare": "#view-compare .hsae-matrix, #view-compare .hsae-notice",
}
"""What each view shows last."""

NOT_OURS = {("label-title-only", ".search-input"), ("image-redundant-alt", 'img[alt="Settings"]')}
"""(rule, element) in Gradio's own markup: the search of gr.Dataframe has a title but no label, and the footer says
"Settings" both in words and as the alternative text of a gear."""

WALK = """() => {
  const own = 'button, a[href], input, select, textarea, summary, canvas, [data-field], [tabindex="0"]';
  // Gradio's table selects whole rows and columns for copying with the mouse alone; its copy button takes all.
  const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled && !e.matches('.selection-button');
  // What it does, if it says so: another element may do the same. Tab reaches one radio button of a group only.
  const name = (e) => e.dataset.field ? `${e.dataset.field}=${e.dataset.value}`
    : e.type === 'radio' ? `radio ${e.name}` : `${e.closest('[id]')?.id} ${e.tagName} ${e.className} ${e.textContent}`;
  const reached = (window.reached = new Set());
  document.addEventListener('focusin', (event) => reached.add(name(event.target)));
  window.missed = () => [...document.querySelectorAll(own)].filter(seen).map(name).filter((one) => !reached.has(one));
}"""


SETTLED = """() => !document.querySelector('.pending, [data-testid=status-tracker].translucent:not(.hide)')
  && !document.getAnimations().some((one) => one instanceof CSSTransition)"""
"""Nothing is faded: Gradio fades what waits for an answer, and fades it in again."""


def open_view(page, view: str) -> None:
    page.locator(f'#tabs [data-value="{view}"]').click()
    page.locator(DRAWN[view]).first.wait_for()


ALONE = """() => {
  const hidden = [...document.querySelectorAll('[id^=view-]')].filter((one) => !one.checkVisibility());
  const back = hidden.map((one) => {
    const place = document.createComment('');
    one.replaceWith(place);
    return () => place.replaceWith(one);
  });
  window.together = () => back.forEach((one) => one());
  return hidden.length;
}"""
"""Takes the hidden views out of the page, which is then as on a visit of the shown one, and as fast to look through."""


def violations(page, rules: dict | None = None) -> list[tuple[str, ...]]:
    """(rule, element) of everything that axe-core complains about, however small, but for `NOT_OURS`."""
    page.wait_for_function(SETTLED)
    only = {"resultTypes": ["violations"]}  # of what passes, no selectors are made
    broken = Axe().run(page, options=only | (rules or {})).response["violations"]
    found = [(rule["id"], *node["target"]) for rule in broken for node in rule["nodes"]]
    return [one for one in found if one not in NOT_OURS]


OF_COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""What the theme changes: it sets a class, and nothing else of the page differs."""


@pytest.mark.parametrize("width", [1400, 390])
def test_axe_finds_no_violation_on_any_view_in_either_theme(visit, width):
    page, found = visit("?__theme=light", width=width), []
    for view in VIEWS:
        open_view(page, view)
        page.wait_for_function(SETTLED)
        assert page.evaluate(ALONE) == len(VIEWS) - 1
        found += [(view, *one) for one in violations(page)]
        page.evaluate("document.body.classList.add('dark')")
        found += [(view, "dark", *one) for one in violations(page, OF_COLOURS)]
        page.evaluate("document.body.classList.remove('dark')")
        page.evaluate("together()")
    found += [("all", *one) for one in violations(page)]  # what was drawn stays in the page, hidden
    assert found == []
    page.add_style_tag(content="#title * { color: #777 !important; background: #888 !important; }")
    assert {rule for rule, *_ in violations(page, OF_COLOURS)} == {"color-contrast"}  # control


def test_tab_reaches_everything_that_a_mouse_can_click_in_every_view(visit):
    page = visit()
    page.evaluate(WALK)
    for view in VIEWS:
        page.locator(f'#tabs [data-value="{view}"]').focus()
        page.keyboard.press("Enter")
        page.locator(DRAWN[view]).first.wait_for()
        page.wait_for_function(SETTLED)
        page.locator("#title").click()
        page.evaluate("reached.clear()")
        missed = page.evaluate("missed()")
        assert len(missed) > 30, view
        for _ in range(20):
            for _ in range(25):
                page.keyboard.press("Tab")
            missed = page.evaluate("missed()")
            if not missed:
                break
        assert missed == [], view


def test_a_row_of_the_table_opens_by_keyboard(visit):
    page = visit("?view=hierarchy")
    page.locator(DRAWN["hierarchy"]).first.click()
    page.wait_for_url("**view=feature**", wait_until="commit")
    page.locator('#tabs [data-value="hierarchy"]').focus()
    page.keyboard.press("Enter")
    cell = page.locator(DRAWN["hierarchy"]).first
    page.wait_for_function(SETTLED)
    cell.focus()
    first = page.evaluate("document.activeElement.innerText")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("first => document.activeElement.innerText !== first", arg=first)
    number = page.evaluate("document.activeElement.innerText")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**latent={number}&view=feature**", wait_until="commit")

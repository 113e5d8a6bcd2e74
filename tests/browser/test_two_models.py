"""Two artifacts of strangers in one app: switching, comparing, hostile names, no photo, and a server that restarts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from PIL import Image

from hsae.artifacts.artifact import Artifact
from hsae.views.page.state import VIEWS
from tests.browser.test_accessibility import SETTLED, violations
from tests.forked import free_port
from tests.running_app import forked_app
from tests.views.conftest import LAYERS, artifact, artifact_with, backbone_folder, latents  # noqa: F401 - fixtures too
from tests.views.tabs.compare.test_compare import DOCUMENT

pytestmark = [
    pytest.mark.slow,
    # The driver's own sockets, when it is closed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HOSTILE = (
    "<a id=planted href=x>link<img id=planted src=x onerror=window.attacked=1><form id=planted>"
    "<style id=planted>.x{}<svg id=planted> ${1} {{1}}"
)


def saved(made: Artifact, folder: Path) -> str:
    """A run folder, which gives the model its name."""
    made.save(folder / "artifact", dtype="float32")
    return str(folder)


@pytest.fixture(scope="module")
def runs(artifact, tmp_path_factory) -> list[str]:  # noqa: F811
    """One artifact with a comparison, and one whose every word is hostile."""
    table = latents().assign(label=HOSTILE)
    hostile = artifact_with(
        artifact, latents=dict.fromkeys(LAYERS, table), dataset=artifact.dataset | {"id": HOSTILE},
        extras={"comparison": DOCUMENT | {"b": DOCUMENT["b"] | {"name": HOSTILE}}},
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("runs")
    compared = artifact_with(artifact, extras={"comparison": DOCUMENT})
    return [saved(compared, folder / "compared"), saved(hostile, folder / HOSTILE)]


@pytest.fixture(scope="module")
def app(runs, tmp_path_factory) -> Iterator[str]:
    """Address of the app with both."""
    both = ("--artifact", runs[0], "--artifact", runs[1])
    with forked_app(tmp_path_factory.mktemp("app") / "log.txt", *both) as (address, _):
        yield address


def open_tab(page, view: str) -> None:
    page.locator(f'#tabs [data-value="{view}"]').click()
    page.locator(f'#tabs [data-value="{view}"][aria-selected="true"]').wait_for()
    page.locator(f"#view-{view}").wait_for()


def until_drawn(page, view: str) -> None:
    """Something is said there, and nothing is being answered."""
    page.wait_for_function("view => document.querySelector(`#view-${view}`).innerText.length > 40", arg=view)
    page.wait_for_function(SETTLED)


def chosen(page) -> str:
    return page.get_by_role("combobox", name="Model").input_value()


def test_a_model_is_chosen_in_the_menu_and_the_link_keeps_it(visit):
    page = visit("?layer=block_02&latent=2&view=feature")
    page.locator("#feature h2", has_text="carnivore").wait_for()
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name=HOSTILE).click()
    page.wait_for_url(re.compile("model=%3Ca"), wait_until="commit")
    page.locator("#feature h2", has_text=HOSTILE).wait_for()
    again = visit(page.locator(".hsae-link").get_attribute("href"))
    again.locator("#feature h2", has_text=HOSTILE).wait_for()
    assert chosen(again) == chosen(page) == HOSTILE
    again.get_by_role("combobox", name="Model").click()
    again.get_by_role("option", name="compared").click()
    again.wait_for_function("() => !location.search.includes('model=')")


def test_words_of_strangers_are_never_run(visit, tmp_path):
    page = visit("?" + urlencode({"model": HOSTILE, "layer": "block_02", "latent": 2}))
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    name = tmp_path / f"{HOSTILE}.png"
    Image.new("RGB", (64, 48), "green").save(name)
    page.set_input_files("#photo input[type=file]", name)
    page.locator('#thumbnails [aria-pressed="true"]').wait_for(state="detached")
    for view in VIEWS:
        open_tab(page, view)
        until_drawn(page, view)
        assert page.locator("#planted").count() == 0
    page.set_input_files(
        "#photo input[type=file]", {"name": f"{HOSTILE}.png", "mimeType": "image/png", "buffer": b"no photo"}
    )
    page.locator(".toast-body", has_text="The photo is text").wait_for()
    assert HOSTILE in page.inner_text("#active")
    assert page.locator("#planted").count() == 0  # in any view: what was drawn stays in the page
    assert page.evaluate("window.attacked") is None
    assert dialogs == []


def test_a_link_of_hostile_words_shows_a_toast_of_text(visit):
    fields = ("model", "layer", "image", "method", "edit", "scope", "patches", "shows", "pair", "view")
    page = visit("?" + urlencode(dict.fromkeys(fields, f"{HOSTILE[:60]}")))
    toasts = page.locator(".toast-body [data-testid=toast-text]")
    page.wait_for_function("n => document.querySelectorAll('[data-testid=toast-text]').length === n", arg=len(fields))
    assert all("<a id=planted href=x>link<img id=planted" in text for text in toasts.all_inner_texts())
    assert page.locator("#planted").count() == 0
    assert page.locator(".toast-body a, .toast-body img, .toast-body form, .toast-body style").count() == 0


def test_axe_finds_no_violation_in_a_comparison_and_the_menu_of_models(visit):
    page = visit("?view=compare&pair=block_02:stage_2")
    page.locator(".hsae-matrix").wait_for()
    assert violations(page) == []


def test_without_a_photo_every_view_says_what_to_do(visit):
    page = visit()
    for view in VIEWS:
        open_tab(page, view)
        page.locator("#photo").get_by_role("button", name="Remove image").click()
        page.locator("#sees .hsae-notice", has_text="There is no photo yet. Pick one on the left").wait_for()
        if view in ("relevancy", "steer"):
            page.locator(f"#view-{view} .hsae-notice", has_text="Pick one on the left").first.wait_for()
        until_drawn(page, view)
        page.locator("#thumbnails button").first.click()
        page.locator("#active table").wait_for()


def test_an_open_page_survives_a_restart_of_the_server(chromium, runs, tmp_path):
    port = free_port()
    page = chromium.new_context().new_page()
    page.set_default_timeout(60_000)
    with forked_app(tmp_path / "first.txt", "--artifact", runs[0], port=port) as (address, _):
        page.goto(f"{address}?layer=block_03&latent=3&view=feature")
        page.locator("#feature h2", has_text="sports car").wait_for()
    page.locator('#layer-strip [data-value="block_01"]').click()
    page.locator(".toast-body", has_text="Connection to the server was lost").wait_for()
    with forked_app(tmp_path / "second.txt", "--artifact", runs[0], port=port):
        page.reload()
        page.locator("#feature h2", has_text="sports car").wait_for()
        page.locator('#layer-strip [data-value="block_01"]').click()
        page.wait_for_url("**layer=block_01**", wait_until="commit")
    page.context.close()

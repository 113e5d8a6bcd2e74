"""A browser, and the app on the packaged artifact with its real backbone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsae.backbones.registry import load_backbone
from hsae.errors import BackboneError
from tests.browser.chromium import opened
from tests.running_app import forked_app

OWN = ("data:", "blob:", "about:")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser and a server on two busy cores may miss a click or a minute: what fails thrice is broken."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    """Debian's chromium, driven by Playwright; not for the whole session, in whose thread its event loop would stay."""
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium in the PATH: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, opened(playwright) as browser:
        yield browser


@pytest.fixture(scope="session")
def backbone() -> None:
    """The weights are in the cache, or can be fetched."""
    try:
        load_backbone("dinov2-small-focus")
    except BackboneError as error:
        pytest.skip(f"needs the weights of dinov2-small-focus: {error}")


@pytest.fixture(scope="session")
def app(backbone: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the app as `python app.py` opens it."""
    with forked_app(tmp_path_factory.mktemp("app") / "log.txt") as (address, _):
        yield address


class Watch:
    """What a page asked for and complained about."""

    def __init__(self, page, address: str) -> None:
        self.foreign: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self._ask(request.url, address))
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _hear(self, message) -> None:
        # Gradio's page asks for its own upload back while the server decodes and deletes it: whichever comes first, the
        # visitor sees the picture inside the answer.
        url = message.location["url"]
        deleted = "ERR_CONTENT_LENGTH_MISMATCH" in message.text and "/gradio_api/file=" in url
        if message.type == "error" and not deleted:
            self.errors.append(f"{message.text} at {url}")

    def _ask(self, url: str, address: str) -> None:
        if not url.startswith((address, *OWN)):
            self.foreign.append(url)


@pytest.fixture
def visit(chromium, app):
    """Opens a page of a new visitor; in the end nothing came from elsewhere and nothing was complained about."""
    opened = []

    def open_page(query: str = "", width: int = 1400, height: int = 950):
        context = chromium.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        opened.append((context, Watch(page, app)))
        page.set_default_timeout(60_000)
        page.goto(app + query)
        page.wait_for_selector("#active table")
        page.wait_for_selector("#photo img")
        page.wait_for_url("**layer=**", wait_until="commit")
        return page

    yield open_page
    for context, watch in opened:
        context.close()
        assert watch.foreign == []
        assert watch.errors == []


@pytest.fixture
def broken_file(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return path

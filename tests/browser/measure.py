"""How long a visitor waits, in seconds, the best of several: python -m tests.browser.measure [--artifact FOLDER].

The machine should be quiet, and the backbone be cached.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import opened
from tests.running_app import running_app

STEPS = 15
ANSWERED = """() => {
  const cells = document.querySelector('#steer-result').getElementsByTagName('td');
  const told = () => [...cells].map((one) => one.textContent).join();
  const before = told();
  window.answered = new Promise((done) => {
    const watch = new MutationObserver(() => { if (told() !== before) { watch.disconnect(); done(); } });
    watch.observe(document.querySelector('#steer-result'), { subtree: true, childList: true, characterData: true });
  });
}"""
"""Asking again and again would cost more than the answer."""
MASKS = "() => getComputedStyle(document.documentElement).getPropertyValue('--film-mask-0')"
PAINTED = """async (name) => {
  const start = performance.now();
  document.querySelector(`#tabs [data-value="${name}"]`).click();
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  do await frame(); while (document.querySelector(`#view-${name}`).offsetParent === null);
  return performance.now() - start;
}"""
"""In the page itself, since a driver's click waits for more than a visitor's does."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="fresh servers")
    parser.add_argument("--artifact", action="append", default=[], help="as for app.py (default: the packaged ones)")
    options = parser.parse_args()
    with sync_playwright() as playwright, opened(playwright) as browser, tempfile.TemporaryDirectory() as folder:
        runs = [measured(browser, Path(folder), options.artifact) for _ in range(options.repeats)]
    for name in runs[0]:
        times = [run[name] for run in runs]
        print(f"{name:28s} {min(times):.2f}   (of {', '.join(f'{one:.2f}' for one in times)})", flush=True)


def measured(browser: Browser, folder: Path, artifacts: Sequence[str]) -> dict[str, float]:
    """The times of one fresh server."""
    start = time.perf_counter()
    with running_app(folder / "log.txt", *(f"--artifact={one}" for one in artifacts)) as address:
        found = {"server up": time.perf_counter() - start}
        with visitor(browser) as page:
            found["first page ready"] = seconds(lambda: ready(page, address))
        with visitor(browser) as page:
            found["later page ready"] = seconds(lambda: ready(page, address))
            times = [upload(page, folder, seed) for seed in range(5)]
            found["new image ready"], found["its film dimmed"] = map(statistics.median, zip(*times, strict=True))
            found["dial response"] = statistics.median(turned(page, "#dial"))
            found["slider response"] = statistics.median(turned(page, "#steer-0"))
            tabs = opened_tab(page)
            found["tab opened"], found["slowest tab"] = statistics.median(tabs), max(tabs)
            if page.locator("#at-patches").inner_text():  # only beside an artifact of patches
                found["features at a patch"] = statistics.median(patched(page))
    return found


@contextmanager
def visitor(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 950})
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def seconds(done: Callable[[], None]) -> float:
    start = time.perf_counter()
    done()
    return time.perf_counter() - start


def ready(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("#active table")
    page.wait_for_selector("#photo img")


def upload(page: Page, folder: Path, seed: int) -> tuple[float, float]:
    """From the choice of a file of 12 million pixels to the features active in it, and to what dims its film."""
    path, before, masks = folder / f"{seed}.jpg", page.inner_text("#active table"), page.evaluate(MASKS)
    small = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(small).resize((4000, 3000)).save(path)
    start = time.perf_counter()
    page.set_input_files("#photo input[type=file]", path)
    page.wait_for_function("before => document.querySelector('#active table')?.innerText !== before", arg=before)
    listed = time.perf_counter() - start
    page.wait_for_function(f"before => ({MASKS})() !== before", arg=masks)
    dimmed = time.perf_counter() - start
    page.wait_for_timeout(1000)
    return listed, dimmed


def turned(page: Page, slider: str) -> list[float]:
    """From a step of a slider to the new effect."""
    page.locator('#tabs [data-value="steer"]').click()
    page.locator("#steer-result td b").first.wait_for()
    page.wait_for_timeout(3000)
    page.focus(f"{slider} input[type=range]")
    return [seconds(lambda: step(page)) for _ in range(STEPS)]


def step(page: Page) -> None:
    page.evaluate(ANSWERED)
    page.keyboard.press("ArrowRight")
    page.evaluate("window.answered")


def patched(page: Page) -> list[float]:
    """From the choice of a patch to the features that are active at it."""
    page.locator('#tabs [data-value="relevancy"]').click()
    page.locator(".hsae-heat").first.wait_for()
    known = page.locator('#at-patches [data-field="layer"]')
    if known.count():  # elsewhere there are none
        known.last.click()
    page.wait_for_timeout(6000)
    grid, found = page.locator("#relevancy-patches canvas"), []
    for at in range(5):
        before = page.inner_text("#at-patches")
        start = time.perf_counter()
        grid.click(position={"x": 60 + 30 * at, "y": 100})
        page.wait_for_function("old => document.querySelector('#at-patches').innerText !== old", arg=before)
        found.append(time.perf_counter() - start)
        page.wait_for_timeout(500)
    return found


def opened_tab(page: Page) -> list[float]:
    """From a click on a tab to its view, painted, also while heat maps are being made and for views opened again."""
    found = []
    for name in 2 * ("feature", "relevancy", "carries", "layers", "steer", "hierarchy", "compare"):
        found.append(page.evaluate(PAINTED, name) / 1000)
        page.wait_for_timeout(1000)
    return found


if __name__ == "__main__":
    main()

"""How long a visitor waits, in seconds, the best of several: python -m tests.browser.measure [--artifact FOLDER].

The machine should be quiet, and the backbone be cached.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import opened
from tests.running_app import running_app

STEPS = 15
EFFECT = "() => [...document.querySelectorAll('#steer-result :is(.hsae-hint, td)')].map(one => one.innerText).join()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="fresh servers")
    parser.add_argument("--artifact", default="starter")
    options = parser.parse_args()
    with sync_playwright() as playwright, opened(playwright) as browser, tempfile.TemporaryDirectory() as folder:
        runs = [measured(browser, Path(folder), options.artifact) for _ in range(options.repeats)]
    for name in runs[0]:
        times = [run[name] for run in runs]
        print(f"{name:28s} {min(times):.2f}   (of {', '.join(f'{one:.2f}' for one in times)})", flush=True)


def measured(browser: Browser, folder: Path, artifact: str) -> dict[str, float]:
    """The times of one fresh server."""
    start = time.perf_counter()
    with running_app(folder / "log.txt", "--artifact", artifact) as address:
        found = {"server up": time.perf_counter() - start}
        with visitor(browser) as page:
            found["first page ready"] = seconds(lambda: ready(page, address))
        with visitor(browser) as page:
            found["later page ready"] = seconds(lambda: ready(page, address))
            found["new image ready"] = statistics.median(upload(page, folder, seed) for seed in range(5))
            found["slider response"] = statistics.median(slide(page))
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


def upload(page: Page, folder: Path, seed: int) -> float:
    """From the choice of a file of 12 million pixels to the features active in it."""
    path, before = folder / f"{seed}.jpg", page.inner_text("#active table")
    small = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(small).resize((4000, 3000)).save(path)

    def done() -> None:
        page.set_input_files("#photo input[type=file]", path)
        changed = "before => document.querySelector('#active table')?.innerText !== before"
        page.wait_for_function(changed, arg=before)

    found = seconds(done)
    page.wait_for_timeout(1000)
    return found


def slide(page: Page) -> list[float]:
    """From a step of a slider to the new effect."""
    page.locator('#tabs [data-value="steer"]').click()
    page.locator("#steer-result td b").first.wait_for()
    page.focus("#steer-0 input[type=range]")
    return [seconds(lambda: step(page)) for _ in range(STEPS)]


def step(page: Page) -> None:
    before = page.evaluate(EFFECT)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"before => ({EFFECT})() !== before", arg=before)


if __name__ == "__main__":
    main()

"""The README's pictures of the app: python -m tests.browser.screenshots FOLDER [--layer block_11] [--latent 7].

Seven views as on a desk, and one as on a phone in the dark; 128 colours, so that they stay small.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import opened
from tests.running_app import running_app

DESK, PHONE = (1300, 930), (390, 844)
VIEWS = {
    "screenshot": ("carries", "#carries table"),
    "screenshot_hierarchy": ("hierarchy", "#scatter canvas"),
    "screenshot_layers": ("layers", "#view-layers svg"),
    "screenshot_feature": ("feature", "#view-feature img"),
    "screenshot_relevancy": ("relevancy", ".hsae-heat img.over"),
    "screenshot_steer": ("steer", "#steer-result td b"),
    "screenshot_compare": ("compare", "#view-compare table"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--artifact", default="starter")
    parser.add_argument("--layer", default="block_10")
    parser.add_argument("--latent", help="default: the photo's strongest")
    options = parser.parse_args()
    chosen = f"layer={options.layer}" + (f"&latent={options.latent}" if options.latent else "")
    with (
        sync_playwright() as playwright,
        opened(playwright) as browser,
        tempfile.TemporaryDirectory() as log,
        running_app(Path(log) / "log.txt", "--artifact", options.artifact) as address,
    ):
        for name, (view, waits_for) in VIEWS.items():
            shoot(browser, f"{address}?{chosen}&view={view}", waits_for, DESK, options.folder / f"{name}.png")
        phone = f"{address}?{chosen}&view=relevancy&__theme=dark"
        shoot(browser, phone, ".hsae-heat img.over", PHONE, options.folder / "screenshot_phone.png")


def shoot(browser: Browser, address: str, waits_for: str, size: tuple[int, int], path: Path) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    page.locator("#photo img").wait_for()
    page.locator(waits_for).first.wait_for()
    settle(page)
    if size == PHONE:
        page.locator(waits_for).first.scroll_into_view_if_needed()
    if "view=steer" in address:
        page.locator("#presets button").first.click()
        settle(page)
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
    context.close()


def settle(page: Page) -> None:
    """Let the rest of the view arrive, and the animations end."""
    page.wait_for_function("document.documentElement.style.getPropertyValue('--film-mask-0')")
    page.wait_for_timeout(3000)


if __name__ == "__main__":
    main()

"""The README's pictures of the app: python -m tests.browser.screenshots hub_cards [--layer block_11] [--latent 7].

Every view as on a desk, and one as on a phone in the dark, in 128 colours, so that they stay small; preview.jpg, what a
link shows beside itself; film.webp, ten seconds of the film, at most 3 MB. `--only film.webp preview.jpg` makes some.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import opened
from tests.running_app import running_app

_SECONDS, _PAUSES = 10.0, 3.0
_MOST = 3 * 2**20  # bytes
_BRING_FORWARD = """at => {
  document.querySelector('.hsae-film').classList.toggle('playing', at !== null);
  document.querySelectorAll('.hsae-frame').forEach((frame, place) => frame.classList.toggle('now', place === at));
}"""
DESK, PHONE = (1300, 930), (390, 844)
VIEWS = {
    "screenshot": ("carries", "#carries table"),
    "screenshot_hierarchy": ("hierarchy", "#scatter canvas"),
    "screenshot_layers": ("layers", "#view-layers svg"),
    "screenshot_feature": ("feature", "#feature-shots .hsae-still"),
    "screenshot_relevancy": ("relevancy", ".hsae-heat .hsae-still"),
    "screenshot_steer": ("steer", "#steer-result td b"),
    "screenshot_compare": ("compare", "#view-compare table"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--artifact", default="starter")
    parser.add_argument("--layer", default="block_10")
    parser.add_argument("--latent", help="default: the photo's strongest")
    parser.add_argument("--only", nargs="*", help="names of files (default: all)")
    options = parser.parse_args()
    chosen = f"layer={options.layer}" + (f"&latent={options.latent}" if options.latent else "")
    with (
        sync_playwright() as playwright,
        opened(playwright) as browser,
        tempfile.TemporaryDirectory() as log,
        running_app(Path(log) / "log.txt", "--artifact", options.artifact) as address,
    ):
        for name, make in pictures(browser, address, chosen).items():
            if not options.only or name in options.only:
                make(options.folder / name)


def pictures(browser: Browser, address: str, chosen: str) -> dict[str, Callable[[Path], None]]:
    """By name of its file how each is made."""
    desk = {
        f"{name}.png": partial(shoot, browser, f"{address}?{chosen}&view={view}", waits_for, DESK)
        for name, (view, waits_for) in VIEWS.items()
    }
    phone = partial(shoot, browser, f"{address}?{chosen}&view=relevancy&__theme=dark", ".hsae-heat .hsae-still", PHONE)
    return desk | {
        "screenshot_phone.png": phone,
        "preview.jpg": lambda path: path.write_bytes(urlopen(f"{address}preview.jpg", timeout=120).read()),
        "film.webp": partial(film, browser, address),
    }


def film(browser: Browser, address: str, path: Path) -> None:
    """The film as it plays: a still, every frame brought forward as the button does, and the whole again."""
    context = browser.new_context(viewport={"width": DESK[0], "height": DESK[1]})
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(address)
    page.locator(".hsae-frame").first.wait_for()
    settle(page)
    box = page.locator("#film").bounding_box()
    clip = box | {"x": box["x"] - 8, "y": box["y"] - 8, "width": box["width"] + 16, "height": box["height"] + 16}
    n = page.locator(".hsae-frame").count()
    stills = []
    for at in (None, *range(n), None):
        page.evaluate(_BRING_FORWARD, at)
        page.wait_for_timeout(300)  # until the frame stands
        stills.append(Image.open(BytesIO(page.screenshot(clip=clip))).convert("RGB"))
    context.close()
    pause = (_SECONDS - _PAUSES) / n
    times = [_PAUSES / 2, *[pause] * n, _PAUSES / 2]
    for quality in (80, 60, 40):
        stills[0].save(
            path, save_all=True, append_images=stills[1:], duration=[round(1000 * time) for time in times], loop=0,
            quality=quality, method=6,
        )  # fmt: skip
        if path.stat().st_size <= _MOST:
            break


def shoot(browser: Browser, address: str, waits_for: str, size: tuple[int, int], path: Path) -> None:
    """A view when it is drawn."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    page.locator("#photo img").wait_for()
    page.locator(waits_for).first.wait_for()
    settle(page)
    if size == PHONE or "view=relevancy" in address:
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

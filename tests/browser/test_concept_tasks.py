"""What new visitors come for, on a photograph of their own: where is the dog known, and can it be made a cat?"""

from __future__ import annotations

import re
from urllib.request import urlopen

import pytest

pytestmark = [
    pytest.mark.slow,
    # The driver's own sockets, when it is closed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
DOG, CAT = "n02084071", "n02121620"


@pytest.fixture
def mine(visit, shared):
    """A page on an uploaded photograph of a Labrador retriever."""
    page = visit()
    before = page.inner_text("#sees table")
    (photo,) = sorted((shared / "data" / "imagenet-samples" / "n02099712").glob("*"))[:1]
    page.set_input_files("#photo input[type=file]", photo)
    page.wait_for_function("old => document.querySelector('#sees table')?.innerText !== old", arg=before)
    return page


def test_where_does_it_know_that_this_is_a_dog(mine):
    page = mine
    for _ in range(10):  # the box is drawn again with the new photograph, which closes its list
        page.locator("#concept input").click()
        page.locator("#concept input").fill("dog, domestic dog")
        page.wait_for_timeout(1000)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_timeout(1000)
        if f"concept={DOG}" in page.url:
            break
    assert f"concept={DOG}" in page.url
    page.locator(".hsae-told", has_text=re.compile("First more dog than not at layer|not more for dog")).wait_for()
    shares = page.locator("#film .hsae-frame b").all_inner_texts()
    assert len(shares) == 12
    assert all(re.fullmatch(r"[<\d.]+ %", share) for share in shares)
    page.wait_for_function("() => document.documentElement.style.getPropertyValue('--film-mask-11').startsWith('url')")
    page.locator("#carries h3", has_text="What carries “dog”").wait_for()
    said = [re.search(r"[+−][\d.e−]+", row) for row in page.locator("#carries tbody tr").all_inner_texts()]
    *parts, total = [float(found[0].replace("−", "-")) for found in said if found]
    assert sum(parts) == pytest.approx(total, abs=0.1)


def test_make_it_a_cat(mine):
    page = mine
    page.locator('#tabs [data-value="steer"]').click()
    page.wait_for_url(re.compile("view=steer"))
    page.locator("#turn-more input").click()
    page.locator("#turn-more input").fill("cat, true cat")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"concept={CAT}"))
    page.locator("#dial", has_text="more cat").wait_for()
    page.fill("#dial input[type=number]", "2")
    page.keyboard.press("Tab")
    verdict = page.locator("#steer-result .hsae-verdict", has_text="“cat”").first
    verdict.wait_for()
    before, after, random, other = (float(share.strip("<% ")) for share in verdict.locator("td b").all_inner_texts())
    assert after > 50 > before
    assert max(random, other) < 50
    assert "brought" in verdict.inner_text()


def test_a_skip_link_leads_to_the_views(visit):
    page = visit()
    page.locator(".hsae-skip").focus()
    assert page.locator(".hsae-skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "tab"
    assert "#" not in page.url


def test_arrows_go_along_tabs_and_film_and_keep_the_focus(visit):
    page = visit()
    page.locator('#tabs [aria-selected="true"]').focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement?.ariaSelected === 'true'")
    page.wait_for_url(re.compile("view=(?!carries)"))
    page.locator('#film .hsae-frame[aria-pressed="true"]').focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile("layer=block_11"))
    page.wait_for_function("() => document.activeElement?.dataset.value === 'block_11'")


def test_the_first_paint_has_the_film_of_the_default_photograph(app):
    """In the page itself, before any question is asked."""
    text = urlopen(app, timeout=60).read().decode()
    assert "hsae-frame" in text
    assert "First more dog than not" in text
    assert "data:image/png;base64" in text

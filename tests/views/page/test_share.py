"""What is served beside the page: tags that say what a link opens, its picture, and a card, for any query string."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from hsae.relevancy import RelevancyMap
from hsae.views.page.share import card_payload
from hsae.views.parts.dim import dimmed
from hsae.views.share.picture import MOST, SIZE, Frame, Poster, draw, plain, thinned
from hsae.views.share.served import PICTURE, Served, Shared, address_of
from tests.views.conftest import HOSTILE

PAGE = (
    '<html><head><meta property="og:title" content="Gradio" /><meta\n\tname="twitter:card" content="x"></head>é</html>'
)
HOSTILE_QUERIES = (
    f"?concept={HOSTILE}", "?layer=../../etc&latent=-1", "?latent=" + "9" * 400, "?view=x&image=upload-0",
    '?kept="><script>alert(1)</script>', "?%00=%ff&=&&&;", "?concept=n02084071" * 500,
)  # fmt: skip


@pytest.fixture
def client(desk, choices):
    """A page as Gradio's, behind what is served beside it."""
    routes = [Route("/", lambda request: HTMLResponse(PAGE)), Route("/config", lambda request: JSONResponse({"a": 1}))]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Served, shared=Shared(desk, choices))]))


def tags(text: str) -> dict[str, str]:
    return dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)">', text))


def test_a_link_says_what_it_opens_and_gradios_own_tags_are_gone(client):
    answer = client.get("/?view=feature&layer=block_02&latent=3", headers={"host": "example.org"})
    found = tags(answer.text)
    assert found["og:title"] == "sports car: a feature of layer 02"
    assert "sports car" in found["og:description"]
    assert found["og:image"].startswith("http://example.org/preview.jpg?")
    assert found["twitter:card"] == "summary_large_image"
    assert "Gradio" not in answer.text
    assert answer.text.endswith("é</html>")
    assert tags(client.get("/").text)["og:title"] == "Where does this vision model know what a dog is?"
    assert client.get("/config").json() == {"a": 1}


def test_the_picture_of_a_link_is_what_the_model_makes_of_the_photograph(client):
    first, again, other = (client.get(f"{PICTURE}?concept={node}") for node in ("n02123045", "n02123045", "n04285008"))
    assert Image.open(BytesIO(first.content)).size == SIZE
    assert first.content == again.content != other.content
    feature = client.get(f"{PICTURE}?view=feature&layer=block_02&latent=3")
    assert Image.open(BytesIO(feature.content)).format == "JPEG"


def test_one_card_alone_without_script_for_an_iframe(client):
    answer = client.get("/?embed=1&layer=block_02&latent=3")
    assert "<h2>sports car</h2>" in answer.text
    assert "hsae-still" in answer.text
    assert re.search(r"--shot-\w+: url\(data:image/png", answer.text)
    assert "<script" not in answer.text
    assert "<button" not in answer.text  # nothing that would do nothing
    assert 'href="./?layer=block_02&amp;latent=3' in answer.text
    assert "frame-options" not in str(answer.headers).lower()
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("query", HOSTILE_QUERIES)
def test_any_query_is_answered_and_nothing_of_it_is_markup(client, query):
    for path in ("/", PICTURE, "/?embed=1&"):
        answer = client.get(f"{path}{query}" if "embed" not in path else path + query[1:])
        assert answer.status_code == 200
        if path != PICTURE:
            assert "<script>alert" not in answer.text


@pytest.mark.parametrize("host", ["a b", '"><script>', "evil.org/x", "x" * 300, "a.org:99999999", ""])
def test_a_host_that_is_none_is_left_out(host):
    assert address_of(Headers({"host": host}), "http") == "/"
    assert address_of(Headers({"host": "a.org", "x-forwarded-host": host}), "http") in ("/", "http://a.org/")


def test_behind_a_proxy_the_address_is_the_visitors():
    headers = {"host": "10.0.0.1:7860", "x-forwarded-host": "org-name.hf.space", "x-forwarded-proto": "https"}
    assert address_of(Headers(headers), "http") == "https://org-name.hf.space/"
    assert address_of(Headers({"host": "[::1]:7860"}), "http") == "http://[::1]:7860/"


def test_the_card_to_save_is_of_the_visitors_own_photograph(desk, choices):
    key = desk.photos.add(Image.new("RGB", (64, 64), (250, 0, 0)))
    payload = card_payload(desk, replace(choices.first(), image=key))
    other = card_payload(desk, choices.first())
    assert payload["picture"].startswith("data:image/png;base64,")
    assert payload != other


def test_of_many_layers_an_even_choice_is_drawn_with_both_ends():
    frames = [Frame(Image.new("RGB", (9, 9)), str(at), 0.5) for at in range(40)]
    shown = [int(frame.words) for frame in thinned(frames, MOST)]
    assert (shown[0], shown[-1], len(shown)) == (0, 39, MOST)
    assert set(np.diff(shown)) <= {3, 4}
    assert draw(Poster("x" * 500, None, frames, "word " * 200, "")).size == SIZE
    assert plain("Kärnten → 中 − “dog”") == "Karnten to  - “dog”"


def test_what_speaks_for_it_stays_as_it_was_and_the_rest_is_dimmed():
    photo = Image.new("RGB", (64, 64), (200, 100, 50))
    shown = np.asarray(dimmed(photo, RelevancyMap(np.array([[1.0, 0.0], [0.0, 0.0]], np.float32), "x", "b", 1.0)))
    assert np.abs(shown[2, 2].astype(int) - (200, 100, 50)).max() <= 2
    assert shown[-2, -2].max() < 80

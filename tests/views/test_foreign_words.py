"""What strangers write in links, calls, file names and artifacts is shown as text and never becomes an element."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import torch

import hsae
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.segmentation import write_segmentation
from hsae.artifacts.documents.starter import write_starter
from hsae.steering.nearest import PhotoBank
from hsae.steering.segmentation.head import PatchHead
from hsae.views.page.about import model_html
from hsae.views.page.desk import Desk
from hsae.views.page.models import Models
from hsae.views.page.page import Page
from hsae.views.page.photos import Photos
from hsae.views.page.selection import SHOWS, Selection
from hsae.views.page.state import VIEWS, Choices
from hsae.views.parts.say import as_text
from tests.page_client import PageClient, starter_png
from tests.tiny_models import WIDTH
from tests.views.conftest import LAYERS, artifact_with, in_a_loop, latents
from tests.views.tabs.compare.test_compare import DOCUMENT

ATTACK = (
    "\"' id=planted <a id=planted href=\\\\evil.example>link<img id=planted src=x onerror=alert(1)><form id=planted>"
    "<input id=planted><style id=planted><svg id=planted onload=alert(1)>&lt;b&gt; ${1} {{1}}"
)
FORBIDDEN = {"form", "input", "style", "script", "iframe", "object", "embed", "link", "base", "meta", "template"}


class Elements(HTMLParser):
    """What a browser would make of a text: faults, and all words outside of tags and in attributes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.words += " ".join(given.values())
        addresses = (given[name] for name in ("href", "src", "action") if name in given)
        if tag in FORBIDDEN or given.get("id") == "planted" or any(name.startswith("on") for name in given):
            self.faults.append(self.get_starttag_text() or tag)
        self.faults += [address[:80] for address in addresses if not address.startswith(("data:", "?"))]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_control_words_that_became_elements_are_noticed():
    assert len(Elements(ATTACK).faults) >= 5
    assert Elements(f'<b title="{ATTACK}">x</b>').faults
    assert Elements(f"<p>{as_text(ATTACK)}</p>").faults == []
    assert Elements(f"<p>{as_text(ATTACK)}</p>").words == ATTACK


def causal_row() -> dict[str, Any]:
    measured = {name: {"advantage": 0.5} for name in ("feature", "random", "other")}
    return {"latent": 2, "label": ATTACK, "node": ATTACK, "set": measured}


def documents() -> dict[str, Any]:
    """Every optional document, of the right form, with the attack wherever it holds a text."""
    head = torch.randn(WIDTH, 2, generator=torch.Generator().manual_seed(0))
    return {
        "causal": {"rules": {"data": ATTACK}, "layers": {layer: {"features": [causal_row()]} for layer in LAYERS}},
        "comparison": DOCUMENT | {
            "a": {"name": ATTACK, "layers": list(LAYERS)}, "b": {"name": ATTACK, "layers": [ATTACK, "stage_2"]},
            "side_by_side": {"columns": [ATTACK, "layer"], "rows": [[ATTACK, ATTACK]]},
            "concepts": DOCUMENT["concepts"] | {
                "rows": [["n02121808", 1, 2, ATTACK, 0.75, ATTACK, 1], [ATTACK, 1, 2, ATTACK, 1, ATTACK, 1]],
            },
            "latents_b": {"photos": [ATTACK], "layers": {ATTACK: [f"7 {ATTACK.split()[0]} 0"]}},
        },
        "faithfulness": {
            "images": ATTACK,
            "layers": {layer: {"features": {"latent": [2], "gap": {ATTACK: [0.5]}}} for layer in LAYERS},
        },
        "profiles": {"layers": {layer: [ATTACK, "2 1|0 50", f"5 0 2|0 60 {ATTACK}", ATTACK] for layer in LAYERS}},
        "segmentation": write_segmentation(PatchHead(head, torch.zeros(2), (ATTACK, f"{ATTACK} 2")), {}),
        "starter": write_starter(PhotoBank(LAYERS[-1], "cls", (ATTACK, "animals/dog"), torch.eye(2, WIDTH))),
    }  # fmt: skip


def written(artifact: Artifact, **changes: Any) -> Artifact:
    """The artifact with the attack in its id, its tables, its tree and all its documents."""
    table = latents()
    table["label"] = ATTACK
    photos = [{"dataset": [], "starter": [[ATTACK, 2.0], ["animals/dog", 1.0]]}] * len(table)
    made = artifact_with(
        artifact, latents=dict.fromkeys(LAYERS, table), top_images=dict.fromkeys(LAYERS, photos),
        dataset=artifact.dataset | {"id": ATTACK, "split": ATTACK[:200]},
        tree={"nodes": [[ATTACK]], "layers": {layer: {"edges": [[2, 1, 0.5], [ATTACK] * 3]} for layer in LAYERS}},
        extras=documents(), **changes,
    )  # fmt: skip
    made.id = ATTACK
    return made


@pytest.fixture(scope="module")
def desk(artifact) -> Desk:
    """An artifact whose backbone is there, and one whose backbone is called by the attack too."""
    lost = written(artifact, backbone=artifact.backbone | {"id": ATTACK})
    desk = Desk(Models([written(artifact), lost]), Photos())
    first, second = desk.models.values()
    first.session(wait=True)
    with pytest.raises(hsae.HsaeError):
        second.session(wait=True)
    return desk


@pytest.fixture(scope="module")
def page(desk) -> Page:
    def make() -> Page:
        with gr.Blocks(analytics_enabled=False):
            return Page(desk, Choices(desk.models, desk.photos))

    return in_a_loop(make)


def shown(page: Page, selection: Selection) -> Iterator[str]:
    """The HTML of every view that a selection draws."""
    yield from htmls(page.views, page.draw(selection, {})[2 : -len(page.later)])
    for later in page.later:
        yield from htmls(later.views, later.draw(selection, {}, {})[2:])


def htmls(views: list, values: list) -> Iterator[str]:
    outputs = [output for view in views for output in view.outputs]
    for output, value in zip(outputs, values, strict=True):
        if isinstance(output, gr.HTML) and isinstance(value, str) and value:
            template = output.html_template or "${value}"
            yield template.replace("${value}", value)


SEEN = [(view, shows) for view in VIEWS for shows in (SHOWS if view == "steer" else ("",))]


@pytest.mark.parametrize("at", [0, 1], ids=["backbone there", "backbone of that name"])
@pytest.mark.parametrize(("view", "shows"), SEEN)
def test_an_artifact_of_hostile_words_is_shown_as_text(desk, page, view, shows, at):
    name = list(desk.models)[at]
    selection = Selection(name, LAYERS[0], latent=2, view=view, shows=shows, edit="2~1", pair="")
    found = [Elements(html) for html in shown(page, selection)]
    assert [fault for elements in found for fault in elements.faults] == []
    assert any(ATTACK in elements.words for elements in found)  # the words are there


def test_what_the_page_says_about_itself_is_text(desk):
    first = next(iter(desk.models.values())).artifact
    found = Elements(model_html(ATTACK, first.backbone | {"id": ATTACK}, first.dataset, 3))
    assert found.faults == []
    assert found.words.count(ATTACK) == 3


FIELDS = sorted({field.name for field in fields(Selection)} | {"place", "feature", "preset", "link"})


@pytest.mark.slow
@pytest.mark.parametrize("field", FIELDS)
def test_a_link_of_hostile_words_gives_a_toast_of_text(server, field):
    visitor = PageClient(server.address)
    assert visitor.load({field: ATTACK, "unknown": ATTACK, ATTACK: "x"})["success"]
    assert len(visitor.toasts) == (field != "link")  # which is no field of a link
    for toast in visitor.toasts:
        assert Elements(toast).faults == []
        assert "<" not in toast
        assert "id=planted <a" in Elements(toast).words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("classes", ("{photo}", ATTACK, "", 3)), ("classes", ("{photo}", "", ATTACK, 3)),
        ("latents", ("{photo}", "", ATTACK, 3)), ("relevancy", ("{photo}", "", "", 1, ATTACK)),
        ("relevancy", ("{photo}", ATTACK, "", 1, "")), ("faithfulness", ("{photo}", "", "", 1, ATTACK)),
        ("faithfulness", ("{photo}", "", ATTACK, 1, "")), ("feature", (ATTACK, "", 1)), ("feature", ("", ATTACK, 1)),
        ("steer", ("{photo}", ATTACK, "{}", False)), ("steer", ("{photo}", "", ATTACK, False)),
        ("steer", ("{photo}", "", json.dumps({"layer": ATTACK, "ops": []}), False)),
        ("steer", ("{photo}", "", json.dumps({"layer": LAYERS[0], "ops": [{"mode": ATTACK, "latent": 1}]}), False)),
        ("classes", ("{text}", "", "", 3)),
    ],
)  # fmt: skip
def test_a_call_of_hostile_words_gets_a_sentence_of_text(server, name, data):
    visitor = PageClient(server.address)
    files = {"{photo}": starter_png("animals/dog"), "{text}": ATTACK.encode()}
    given = [visitor.upload(f"{ATTACK}.png", files[part]) if part in files else part for part in data]
    answer = visitor.call(name, *given)
    assert answer.startswith("event: error")
    said = json.loads(answer.split("data: ", 1)[1])["error"]
    assert "<" not in said
    assert Elements(said).faults == []


TOASTS = {"Error", "Warning", "Info", "Success", "Markdown"}


def test_only_one_module_shows_toasts_and_none_shows_markdown():
    """Gradio draws both as HTML."""
    package = Path(hsae.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("gr", "gradio")
        and node.attr in TOASTS)
        or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gradio")
        and TOASTS & {name.name for name in node.names})
    }  # fmt: skip
    assert found == {"views/parts/say.py"}

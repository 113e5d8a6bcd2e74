"""No view and no answer of the API calls a latent by a name that was refused; names that were kept are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pandas as pd
import pytest

from hsae.artifacts.artifact import Artifact
from hsae.report.shown_names import UNLIKELY
from hsae.session import Session
from hsae.steering.edits import Edit
from hsae.views.page.api import Api
from hsae.views.page.desk import Desk, feature_name, has_name, numbered_name, said_name, trust, unsaid
from hsae.views.page.models import Models
from hsae.views.page.page import Page
from hsae.views.page.photo import active_html
from hsae.views.page.photos import Photos
from hsae.views.page.selection import SHOWS, Selection
from hsae.views.page.state import VIEWS, Choices
from hsae.views.tabs.feature.card import evidence_html, numbers_html
from hsae.views.tabs.hierarchy.hierarchy import KINDS, twin
from hsae.views.tabs.hierarchy.scatter import scatter_payload
from hsae.views.tabs.layers.layers import fires_html
from hsae.views.tabs.relevancy.explained import explained
from tests.page_client import starter_png
from tests.views.conftest import LAYERS, artifact_with, in_a_loop, latents
from tests.views.tabs.compare.test_compare import DOCUMENT
from tests.views.test_hostile import inside

CAT, CARNIVORE, ECHIDNA, CAR = "n02121808", "n02075296", "n01872401", "n04285008"
WRONG = "zzyzx"  # the old label of every latent whose name is measured
REFUSED_WORDS = (WRONG, "echidna", ECHIDNA, "spiny anteater")
PHOTO = "animals/dog"
PAIR = f"{LAYERS[0]}:stage_1"
LOW, HIGH = -1e9, 1e9


def measured(named: int, node: str, threshold: float, precision: float = 0.38) -> dict[str, Any]:
    """A row whose name was measured; what the older rules say of it is the node too."""
    return {
        "named": named, "node": node, "node_threshold": threshold, "node_precision": precision, "node_recall": 0.41,
        "node_lift": 12.0, "label": WRONG, "lch": node, "best_node": node, "best_node_f1": 0.9, "q_value": 1e-4,
        "p_value": 1e-4, "n_classes": 2, "lch_height": 1.0, "coverage": 0.5,
    }  # fmt: skip


def three_rows() -> pd.DataFrame:
    """Latent 1 is named, 2 refused, 3 of the older rule; 4 is named and never said."""
    table = latents()
    rows = {
        1: measured(1, CAT, LOW), 2: measured(0, ECHIDNA, LOW), 3: {"label": "old car"},
        4: measured(1, CARNIVORE, HIGH),
    }  # fmt: skip
    for latent, values in rows.items():
        table.loc[latent, list(values)] = list(values.values())
    return table


ROWS = three_rows()


def test_one_rule_says_what_a_feature_is_called():
    assert [feature_name(ROWS.iloc[at], at) for at in (1, 2, 3, 7)] == [
        "domestic cat", "feature 2 (unnamed)", "old car", "no clear class (7)",
    ]  # fmt: skip
    assert [numbered_name(ROWS.iloc[at], at) for at in (1, 2)] == ["domestic cat · 1", "feature 2 (unnamed)"]
    assert has_name(ROWS).nonzero()[0].tolist() == [1, 3, 4]
    assert [trust(ROWS.iloc[at]) for at in (1, 2, 3)] == ["true in 38 %", "", "100 %"]


def test_a_name_is_said_of_a_photo_only_above_its_threshold():
    said, weak = ROWS.iloc[1].copy(), ROWS.iloc[1].copy()
    said["said"], weak["said"] = True, False
    assert (said_name(said, 1), unsaid(said)) == ("domestic cat", "")
    assert said_name(weak, 1) == "feature 1"
    assert "named domestic cat, but too weak" in unsaid(weak)
    old = ROWS.iloc[3].copy()
    old["said"] = False
    assert (said_name(old, 3), unsaid(old)) == ("old car", "")


def test_a_card_says_how_often_the_name_is_true_or_that_none_is():
    kept, refused, older = (evidence_html(ROWS.iloc[at]) for at in (1, 2, 3))
    for words in (
        "Named",
        "domestic cat",
        "true in <b>38 %</b> (12 times chance)",
        "said of 41 % of those that show one",
    ):
        assert words in kept
    assert "Unnamed: on photographs that had no part" in refused
    assert "One class belongs to it" in older
    assert "older rule" in older
    assert "older rule" not in kept + refused
    assert not any(word in kept + refused for word in REFUSED_WORDS)
    assert "precision" in numbers_html(ROWS.iloc[1])
    assert "precision" not in numbers_html(ROWS.iloc[2])
    assert "<b>fit</b>" not in numbers_html(ROWS.iloc[2])


def test_random_directions_stand_beside_how_alike_images_are():
    row = ROWS.iloc[1].copy()
    row["monosemanticity"] = 0.37
    assert "random directions of this layer reach 0.39" in numbers_html(row, {"monosemanticity": 0.387})
    assert "random directions" not in numbers_html(row, {"monosemanticity": None})  # not measured
    assert "<b>height</b>" in numbers_html(ROWS.iloc[2])  # no name


def test_lists_of_a_photo_name_what_is_said_and_nothing_else():
    shown = ROWS.iloc[[1, 2, 4]].assign(latent=[1, 2, 4], said=[True, False, False], strength=0.5, activation=1.0)
    for html in (active_html(shown, "block_02", 1), fires_html({"block_02": shown}, "block_02")):
        assert html.index("domestic cat") < html.index("feature 2 (unnamed)") < html.index("feature 4")
        assert html.count("true in 38 %") == 1
        assert "older rule" not in html
        assert not any(word in html for word in REFUSED_WORDS)
    old = ROWS.iloc[[3]].assign(latent=3, said=False, strength=0.5, activation=1.0)
    assert "older rule" in active_html(old, "block_02", 3)
    assert "older rule" in fires_html({"block_02": old}, "block_02")


@pytest.fixture(scope="module")
def active(artifact: Artifact) -> dict[str, list[int]]:
    """By layer the latents that are active in the photograph, strongest first; there are six or more."""
    desk = Desk(Models([artifact]), Photos())
    desk.models["unsaved"].session(wait=True)
    sessions = {layer: desk.session(Selection("unsaved", layer, image=PHOTO)) for layer in LAYERS}
    return {layer: session.active_latents(layer)["latent"].tolist() for layer, session in sessions.items()}


def table_of(active: list[int]) -> pd.DataFrame:
    """All refused but of the active ones: the second and fourth named and said, the third unsaid, the fifth older."""
    table = latents()
    for latent in range(len(table)):
        values = measured(0, ECHIDNA, LOW)
        table.loc[latent, list(values)] = list(values.values())
    rows = {
        active[1]: measured(1, CAT, LOW, precision=0.31), active[3]: measured(1, CAR, LOW, precision=0.9),
        active[2]: measured(1, CARNIVORE, HIGH),
    }  # fmt: skip
    for latent, values in rows.items():
        table.loc[latent, list(values)] = list(values.values())
    old = {"named": -1, "label": "oldest name", "node": None, "lch": CAR, "best_node": None, "q_value": 0.5}
    table.loc[active[4], list(old)] = list(old.values())
    return table


@pytest.fixture(scope="module")
def named(artifact: Artifact, active: dict[str, list[int]]) -> Artifact:
    first = active[LAYERS[0]]
    edges = {
        layer: {"edges": [[found[1], found[0], 0.5], [found[0], found[3], 0.5]]} for layer, found in active.items()
    }
    set_ = {name: {"advantage": 0.5} for name in ("feature", "random", "other")}
    causal = {
        layer: {"features": [{"latent": at, "label": WRONG, "node": ECHIDNA, "set": set_} for at in found]}
        for layer, found in active.items()
    }
    strongest = [[[f"{at} 7 13 1" for at in first[:5]], []], [[], []], [[], []]]
    nodes = {"nodes": [[ECHIDNA, 1, 2], [CAT, 1, 2]]}
    scores = {layer: {"latent": [found[0], found[1]], "f1": [0.5, 0.5]} for layer, found in active.items()}
    return artifact_with(
        artifact, latents={layer: table_of(found) for layer, found in active.items()},
        tree=nodes | {"layers": edges, "node_scores": scores},
        extras={
            "causal": {"layers": causal}, "comparison": DOCUMENT | {"strongest": strongest},
            "profiles": {"layers": {layer: ["5 0 2|0 60"] * 24 for layer in LAYERS}},
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def desk(named: Artifact) -> Desk:
    desk = Desk(Models([named]), Photos())
    desk.models["unsaved"].session(wait=True)
    return desk


@pytest.fixture(scope="module")
def page(desk: Desk) -> Page:
    def make() -> Page:
        with gr.Blocks(analytics_enabled=False):
            return Page(desk, Choices(desk.models, desk.photos))

    return in_a_loop(make)


def as_text(value: Any) -> str:
    """Every word of what a view gives the browser: HTML, payloads, tables, and what is set of other components."""
    if isinstance(value, pd.DataFrame):
        return value.to_json()
    if isinstance(value, gr.components.Component):
        return " ".join(str(getattr(value, name, "")) for name in ("label", "value", "choices"))
    return str(value)


def drawn(page: Page, selection: Selection) -> Iterator[tuple[str, str]]:
    """Every view that a selection draws, by name, as text."""
    found = [(page.views, page.draw(selection, {})[2 : -len(page.later)])]
    found += [(later.views, later.draw(selection, {}, {})[2:]) for later in page.later]
    for views, values in found:
        names = [view.name for view in views for _ in view.outputs]
        yield from ((name, as_text(value)) for name, value in zip(names, values, strict=True))


SEEN = [(view, shows) for view in VIEWS for shows in (SHOWS if view == "steer" else ("",))]


@pytest.mark.parametrize(("view", "shows"), [pair for pair in SEEN if pair[1] != "nearest"])  # 297 forward passes
def test_no_view_carries_a_refused_name(page, active, view, shows):
    found = active[LAYERS[0]]
    for latent in found[:5]:
        selection = Selection(
            "unsaved", LAYERS[0], latent, PHOTO, view=view, shows=shows, edit=f"{latent}~2", pair=PAIR
        )
        for name, text in drawn(page, selection):
            assert [word for word in REFUSED_WORDS if word in text] == [], name


def test_control_every_view_shows_names_that_were_kept(page, active):
    found, words = active[LAYERS[0]], {}
    for view, shows in SEEN:
        if shows not in ("nearest", "control", "segmentation"):
            selection = Selection(
                "unsaved", LAYERS[0], found[1], PHOTO, view=view, shows=shows, edit=f"{found[0]}~2", pair=PAIR
            )
            for name, text in drawn(page, selection):
                words[name] = words.get(name, "") + text
    for name in ("active", "fires", "hierarchy", "features", "feature", "sliders", "relevancy", "pairs"):
        assert "domestic cat" in words[name], name
        assert name == "relevancy" or "oldest name" in words[name] or name == "feature", name


def test_no_kind_of_the_table_carries_a_refused_name(desk, active):
    table = desk.models["unsaved"].latents(LAYERS[0])
    shown = {kind: twin(table, kind) for kind in KINDS}
    for kind, rows in shown.items():
        assert [word for word in REFUSED_WORDS if word in rows.to_json()] == [], kind
    kept = shown["named"].set_index("no.")
    first = active[LAYERS[0]]
    assert kept.index.tolist() == [first[3], first[2], first[1]]  # precision .9, .38, .31 at one lift
    assert kept.loc[first[1], "feature"] == "domestic cat"
    assert "house cat" in kept.loc[first[1], "also called"]
    assert kept.loc[first[1], "name true in, %"] == 31


def test_the_search_finds_named_features_by_every_word_and_refused_ones_by_none(desk, active):
    payload, first = scatter_payload(desk.models["unsaved"].latents(LAYERS[0]), None), active[LAYERS[0]]
    words = {point[0]: f"{point[4]} {payload['lineages'][point[6]]}".lower() for point in payload["points"]}
    assert len(words) == 24
    for word in ("domestic cat", "house cat", "mammal"):
        assert word in words[first[1]]
    assert {words[latent] for latent in words if latent not in first[1:5]} == {"unnamed "}


def likeliest_first(desk: Desk, layer: str, found: list[int]) -> list[int]:
    """Those of two strong latents with names that are said, by how likely the layer's probe finds these."""
    nodes = {found[1]: CAT, found[3]: CAR}
    likely = desk.session(Selection("unsaved", layer, image=PHOTO)).node_probabilities(list(nodes.values()))
    said = [latent for latent, node in nodes.items() if likely[node][layer] >= UNLIKELY]
    return sorted(said, key=lambda latent: -likely[nodes[latent]][layer])


def test_a_photos_features_begin_with_what_is_said_of_it(desk, active):
    numbers = set()
    for layer, found in active.items():
        listed = desk.active(Selection("unsaved", layer, image=PHOTO)).set_index("latent", drop=False)
        said = likeliest_first(desk, layer, found)
        rest = [at for at in found if at not in (*said, found[4])]
        assert listed["latent"].tolist() == [*said, found[4], *rest]  # the older rule after what is said
        assert listed["said"].tolist() == [True] * len(said) + [False] * (len(found) - len(said))
        for at in {found[1], found[3]} - set(said):
            assert "the layer's probe finds that unlikely here" in unsaid(listed.loc[at])
        assert unsaid(listed.loc[found[2]]) == "named carnivore, but too weak here for that to be said of this photo"
        numbers.add(len(said))
    assert numbers == {0, 1}  # names were left out, and not all of them


def test_a_map_is_of_a_feature_by_its_name_only_where_that_is_said_of_the_photo(desk, active):
    titles = set()
    for layer, found in active.items():
        said = likeliest_first(desk, layer, found)
        for latent, name in ((found[1], "domestic cat"), (found[2], "carnivore"), (found[3], "sports car")):
            shown = explained(desk, Selection("unsaved", layer, latent, PHOTO))[-1]
            assert shown.title == (f"feature: {name}" if latent in said else f"feature {latent}")
            assert (f"It is named {name}, but" in shown.told) is (latent not in said)
            titles.add(latent in said)
    assert titles == {True, False}


@pytest.mark.parametrize(("above", "state", "said"), [(-1, 1, True), (1, 1, False), (-1, 0, False), (-1, -1, False)])
def test_a_session_says_a_name_from_the_threshold_on(desk, artifact, active, above, state, said):
    layer, latent = LAYERS[0], active[LAYERS[0]][1]
    shown = desk.session(Selection("unsaved", layer, image=PHOTO))
    pre = shown.artifact.sae(layer).pre_activation(shown.activations(layer)[0, 0])[latent].item()
    table = table_of(active[layer])
    table.loc[latent, "named"] = state
    table.loc[latent, "node_threshold"] = pre + above * 1e-4
    changed = artifact_with(artifact, latents=dict.fromkeys(LAYERS, table))
    session = Session(changed, shown.backbone).set_image(shown.crop)
    row = session.active_latents(layer).set_index("latent").loc[latent]
    assert row["said"] == said
    assert row["label"] == {1: "domestic cat", 0: "unnamed", -1: WRONG}[state]


@pytest.fixture(scope="module")
def api(desk: Desk) -> Api:
    return Api(desk)


def test_the_api_names_what_was_kept_and_nothing_else(api, active):
    image = inside(starter_png(PHOTO))
    for layer, found in active.items():
        listed, said = api.latents(image, "", layer, 24), likeliest_first(api.desk, layer, found)
        assert [row["said"] for row in listed] == [True] * len(said) + [False] * (len(listed) - len(said))
        rest = [at for at in found if at not in said]  # as strong as they are
        assert [row["latent"] for row in listed[: len(found)]] == said + rest
        labels = {row["latent"]: row["label"] for row in listed}
        assert [labels[at] for at in found] == [
            "unnamed", "domestic cat", "carnivore", "sports car", "oldest name", *["unnamed"] * (len(found) - 5),
        ]  # fmt: skip
        assert len(api.latents(image, "", layer, 1)) == 1
        answers = [listed, *(api.feature("", layer, latent) for latent in range(24))]
        assert [word for word in REFUSED_WORDS if word in json.dumps(answers)] == []
        refused = api.feature("", layer, found[0])
        assert (refused["label"], refused["node"], refused["lch"], refused["best_node"]) == ("unnamed",) + (None,) * 3
        assert refused["above"] == [{"latent": found[1], "label": "domestic cat", "share": 0.5}]


def test_later_features_are_called_by_their_shown_names(desk, active):
    session = desk.session(Selection("unsaved", LAYERS[0], image=PHOTO))
    edit = Edit(LAYERS[0], ({"latent": active[LAYERS[0]][1], "mode": "add", "amount": 3.0},))
    found = session.downstream(edit, top=24)
    assert len(found)
    assert WRONG not in set(found["label"])
    assert "unnamed" in set(found["label"])

"""All views in a browser, as a visitor uses them: mouse, keyboard, links, a broken file."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.tree import read_node_scores
from hsae.views.page.state import VIEWS
from tests.browser.test_accessibility import open_view

pytestmark = [
    pytest.mark.slow,
    # The driver's own sockets, when it is closed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


FEATURE = "#relevancy [data-of=feature] "
"""The map of the feature, beside those of the concept and the class."""


def query(page) -> dict[str, str]:
    """What the address bar says is selected."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def open_tab(page, name: str, waits_for: str) -> None:
    page.get_by_role("tab", name=name).click()
    page.locator(waits_for).first.wait_for()


def until_query(page, **expected: str) -> None:
    """Wait until the address bar says so: every change of the selection ends there."""
    pattern = "".join(f"(?=.*[?&]{name}={re.escape(value)}(&|$))" for name, value in expected.items())
    page.wait_for_url(re.compile(pattern), wait_until="commit")


def click_at_once(page, *selectors: str) -> None:
    """Clicks that come while the first of them is not answered yet."""
    page.evaluate("all => all.forEach((one) => document.querySelector(one).click())", list(selectors))


def test_quick_clicks_end_at_the_last_of_each_kind(visit):
    page = visit()
    layers = [f'#layer-strip [data-value="block_{at:02d}"]' for at in (3, 4, 5)]
    click_at_once(page, *layers)
    until_query(page, layer="block_05")
    click_at_once(page, layers[0], '#thumbnails [data-value="photos/mammals/koala"]')
    until_query(page, layer="block_03", image="photos%2Fmammals%2Fkoala")
    page.locator("#active h2", has_text="layer 03").wait_for()
    page.go_back()
    page.locator('#thumbnails [data-value="photos/farm/dog"][aria-pressed="true"]').wait_for()


def test_picking_a_photo_changes_what_the_model_sees(visit):
    page = visit()
    before = page.inner_text("#sees")
    page.locator("#thumbnails button").nth(7).click()
    page.wait_for_function("old => document.querySelector('#sees').innerText !== old", arg=before)
    page.locator('#thumbnails [aria-label$="other animals"] button:nth-child(2)[aria-pressed="true"]').wait_for()
    assert re.search(r"\d %", page.inner_text("#sees table"))
    assert "›" in page.inner_text("#sees .hsae-path")
    assert page.locator("#photo img").get_attribute("alt")


def test_a_layer_is_chosen_by_its_button_and_by_a_click_into_a_chart(visit):
    page = visit("?view=layers")
    page.locator("#layers figure").first.wait_for()
    assert page.locator("#layers figure").count() == 10  # seven of numbers, three of nodes
    page.get_by_role("group", name="Layer", exact=True).get_by_role("button", name="03").click()
    until_query(page, layer="block_03")
    page.locator('#layers figure >> nth=1 >> rect.column[data-value="block_10"]').click()
    until_query(page, layer="block_10")
    assert page.locator('#layer-strip [aria-pressed="true"]').inner_text() == "10"
    page.locator("#layers tr.current", has_text="10").wait_for()
    assert "layer 10" in page.inner_text("#active h2")


def until_points_are_drawn(page) -> None:
    """The canvas of the scatter is there before its points are."""
    page.locator(".hsae-filters output", has_text=re.compile(r"[1-9]\d* shown")).wait_for()


def test_a_point_of_the_scatter_opens_its_card_by_mouse_and_by_keyboard_and_a_row_of_the_table_too(visit):
    page = visit()
    open_tab(page, "Hierarchy", "#scatter canvas")
    until_points_are_drawn(page)
    read = page.locator(".hsae-read")
    page.locator("#scatter canvas").scroll_into_view_if_needed()
    box = page.locator("#scatter canvas").bounding_box()
    for x in np.linspace(60, box["width"] - 30, 60):  # look for a point, as a visitor does
        for y in np.linspace(35, box["height"] - 80, 20):
            page.mouse.move(box["x"] + x, box["y"] + y)
            if read.inner_text():
                break
        else:
            continue
        break
    name, latent = re.match(r"(.*) \(no\. (\d+)\)", read.inner_text()).groups()
    page.mouse.down()
    page.mouse.up()
    until_query(page, latent=latent, view="feature")
    page.locator(".hsae-card h2", has_text=name).wait_for()
    assert f"no. {latent} of layer" in page.inner_text(".hsae-card")
    open_tab(page, "Hierarchy", "#scatter canvas")
    until_points_are_drawn(page)
    page.focus("#scatter canvas")
    page.keyboard.press("ArrowRight")
    first = page.inner_text(".hsae-read")
    page.keyboard.press("ArrowRight")
    second = page.inner_text(".hsae-read")
    assert first != second
    page.keyboard.press("ArrowLeft")
    assert page.inner_text(".hsae-read") == first
    page.keyboard.press("Enter")
    latent = re.search(r"no\. (\d+)", first)[1]
    until_query(page, latent=latent, view="feature")
    open_tab(page, "Hierarchy", "#hierarchy-table [role=gridcell]")
    cell = page.locator("#hierarchy-table [role=gridcell]").first
    number = cell.inner_text().strip()
    cell.click()
    until_query(page, latent=number, view="feature")


def test_the_scatter_is_filtered_by_word_chance_and_height(visit):
    page = visit("?view=hierarchy")
    until_points_are_drawn(page)
    shown = page.locator(".hsae-filters output")
    total = int(re.match(r"(\d+) of (\d+)", shown.inner_text())[2])

    def count() -> int:
        return int(shown.inner_text().split()[0])

    assert count() == total
    page.get_by_role("searchbox", name="Find").fill("artifact")
    artifacts = count()
    assert 0 < artifacts < total
    page.get_by_label("only what beats chance").check()
    assert 0 < count() <= artifacts
    page.get_by_role("searchbox", name="Find").fill("")
    page.get_by_label("largest height").fill("1")
    assert 0 < count() < total
    page.get_by_role("searchbox", name="Find").fill("no such word")
    assert count() == 0


def test_both_trees_open_features(visit):
    page = visit("?view=hierarchy")
    for tree in ("#wordnet-tree", "#feature-tree"):
        open_tab(page, "Hierarchy", f"{tree} summary")
        face = page.locator(f"{tree} details:not([open]) > summary").first
        face.focus()
        page.keyboard.press("Enter")
        button = page.locator(f"{tree} button:visible").last
        latent = button.get_attribute("data-value")
        button.click()
        until_query(page, latent=latent, view="feature")


def test_the_densities_choose_a_layer_and_the_table_lists_every_kind(visit):
    page = visit("?view=hierarchy")
    page.get_by_label("never fires").check()
    page.locator("#hierarchy-table [role=gridcell]", has_text=re.compile("no clear class|unnamed")).first.wait_for()
    open_tab(page, "All layers", '#densities button[data-value="block_03"]')
    page.locator('#densities button[data-value="block_03"]').click()
    until_query(page, layer="block_03")
    page.locator('#densities button[data-value="block_03"][aria-pressed="true"]').wait_for()


def test_back_and_forward_walk_through_what_was_seen(visit):
    page = visit()
    start = query(page)
    page.get_by_role("group", name="Layer", exact=True).get_by_role("button", name="03").click()
    until_query(page, layer="block_03")
    page.get_by_role("tab", name="Hierarchy").click()
    until_query(page, layer="block_03", view="hierarchy")
    page.go_back()
    page.locator('#tabs [data-value="carries"][aria-selected="true"]').wait_for()
    assert query(page)["layer"] == "block_03"
    page.go_back()
    page.locator(f'#layer-strip [data-value="{start["layer"]}"][aria-pressed="true"]').wait_for()
    page.go_forward()
    page.locator('#layer-strip [data-value="block_03"][aria-pressed="true"]').wait_for()


def test_a_card_leads_to_the_same_concept_in_another_layer(visit):
    artifact = Artifact.load("starter")
    sizes = {layer: len(artifact.latents(layer)) for layer in artifact.layers}
    nodes = artifact.latents("block_10").query("named == 1")["node"]
    broad = next(latent for latent, node in nodes.items() if read_node_scores(artifact.tree, node, sizes))
    page = visit(f"?layer=block_10&latent={broad}&view=feature")
    link = page.locator('#feature-rest [data-field="feature"]').first
    layer, latent = link.get_attribute("data-value").split(":")
    link.click()
    until_query(page, layer=layer, latent=latent, view="feature")
    page.locator(".hsae-card", has_text=f"no. {latent} of layer {layer[-2:]}").wait_for()


def test_a_feature_has_a_heat_map_a_scale_and_an_opacity(visit):
    page = visit()
    open_tab(page, "Where", FEATURE + ".hsae-still")
    heat = page.locator(FEATURE + "img.over")
    assert not heat.is_visible()
    page.get_by_label("paint a heat map").check()
    heat.wait_for()
    assert "strongest at the" in heat.get_attribute("alt")
    assert len(page.locator(FEATURE + ".hsae-ends span").all_inner_texts()) == 3
    assert page.locator("#relevancy figure").count() >= 2
    page.locator("#removal summary").first.wait_for()  # follows in a second call
    assert page.locator("#removal summary").count() == page.locator("#relevancy figure").count()
    page.locator("#removal summary").first.click()
    page.locator("#removal svg").first.wait_for()
    page.locator("#relevancy-patches canvas").focus()
    page.keyboard.press(" ")
    page.locator("#relevancy-share", has_text="The chosen patch is").wait_for()
    picture = heat.get_attribute("src")
    page.focus("#opacity input[type=range]")
    page.keyboard.press("End")
    page.wait_for_function(f"() => getComputedStyle(document.querySelector('{FEATURE}img.over')).opacity === '1'")
    page.locator("#active tbody button").nth(1).click()
    page.wait_for_function(f"old => document.querySelector('{FEATURE}img.over')?.src !== old", arg=picture)
    assert query(page)["view"] == "relevancy"  # choosing a feature here stays here


def test_a_silent_feature_says_so(visit):
    dead = Artifact.load("starter").latents("block_01")["dead"]
    page = visit(f"?layer=block_01&latent={dead.idxmax()}&view=relevancy")
    page.locator("#relevancy .hsae-notice", has_text="is not active in this photo").wait_for()
    assert page.locator(FEATURE).count() == 0


def changes(page) -> set[str]:
    texts = page.locator("#steer-result td b").all_inner_texts()
    return {text for text in texts if text}  # what is folded up shows none


def test_sliders_steer_by_keyboard_undo_redo_and_reset(visit):
    page = visit("?image=animals/dog")  # the model is less than sure of this one, so that a push shows
    open_tab(page, "Turn it", "#steer-0 input[type=range]")
    page.locator("#steer-result td b").first.wait_for()
    assert changes(page) == {"0.0"}
    assert "never altered" in page.inner_text("#view-steer")
    page.focus("#steer-0 input[type=range]")
    page.keyboard.press("End")
    page.locator("#steer-result .gain").first.wait_for()
    assert {"+", "−"} <= {text[0] for text in changes(page)}
    page.wait_for_url(re.compile(r"edit=\d+~3"), wait_until="commit")
    page.click("#steer-undo")
    page.locator("#steer-result", has_text="Nothing is changed yet").wait_for()
    assert page.locator("#steer-0 input[type=range]").input_value() == "0"
    page.click("#steer-redo")
    page.locator("#steer-result .gain").first.wait_for()
    assert page.locator("#steer-0 input[type=range]").input_value() == "3"
    page.click("#steer-reset")
    page.locator("#steer-result", has_text="Nothing is changed yet").wait_for()
    assert changes(page) == {"0.0"}
    assert page.locator("#steer-0 input[type=range]").input_value() == "0"
    assert "edit" not in query(page)


def faders(page) -> list[str]:
    """The names of the sliders' elements from top to bottom, as they are seen."""
    return page.evaluate(
        """() => [...document.querySelectorAll('#faders .hsae-fader')].filter(one => one.querySelector('input'))
        .sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top)
        .map(one => one.querySelector('[id^=steer-]:has(input)').id)"""
    )


def test_changed_sliders_stand_first_and_none_moves_while_it_is_held(visit):
    page = visit("?image=animals/dog")
    open_tab(page, "Turn it", "#steer-2 input[type=range]")
    page.locator("#steer-result td b").first.wait_for()
    usual = faders(page)
    assert usual[:3] == ["steer-0", "steer-1", "steer-2"]
    page.focus("#steer-2 input[type=range]")
    page.keyboard.press("End")
    page.locator("#steer-photos-2 [data-changed]").wait_for(state="attached")
    assert faders(page) == usual
    page.evaluate("() => document.activeElement.blur()")
    page.wait_for_function("() => getComputedStyle(document.querySelector('.hsae-fader:has(#steer-2)')).order === '-1'")
    assert faders(page)[:3] == ["steer-2", "steer-0", "steer-1"]
    page.click("#steer-reset")
    page.locator("#steer-photos-2 [data-changed]").wait_for(state="detached")
    assert faders(page) == usual


def often(layer: str) -> int:
    """The latent that fires most often."""
    return int(Artifact.load("starter").latents(layer)["frequency"].idxmax())


def test_a_link_restores_an_edit_with_its_patches_and_pane(visit):
    page = visit(f"?layer=block_06&view=steer&edit={often('block_06')}~2.5&scope=chosen&patches=3.4&shows=control")
    page.locator("#steer-result", has_text="random direction").wait_for()
    page.locator("#steer-patches canvas").wait_for()
    assert page.get_by_label("chosen patches").is_checked()
    assert "2.5" in [box.input_value() for box in page.locator("#view-steer input[type=range]").all()]
    page.get_by_role("button", name="Take this edit with you").click()
    page.locator("#steer-export", has_text='"scope": [3, 4]').wait_for()


def test_patches_are_chosen_by_keyboard_and_by_mouse(visit):
    page = visit(f"?layer=block_06&view=steer&edit={often('block_06')}~2&scope=chosen")
    page.locator("#steer-result .hsae-notice, #view-steer .hsae-notice", has_text="no patch is chosen").first.wait_for()
    canvas = page.locator("#steer-patches canvas")
    canvas.focus()
    for key in ("ArrowRight", "ArrowDown", " "):
        page.keyboard.press(key)
    assert "Row 2 of 16, column 2 of 16, chosen" in page.inner_text("#steer-patches p")
    until_query(page, patches="17")
    page.locator("#steer-result td b").first.wait_for()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 16 + 5, box["y"] + 2)
    page.mouse.up()
    until_query(page, patches="0.1.17")
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 16 + 5, box["y"] + box["height"] / 16 + 5)
    page.mouse.up()
    page.keyboard.up("Shift")
    until_query(page, patches="0.1.16.17")
    for column in (3, 5, 7):  # while the first of them is being answered
        page.mouse.click(box["x"] + column * box["width"] / 16 + 5, box["y"] + 2)
        page.wait_for_timeout(120)
    until_query(page, patches="0.1.3.5.7.16.17")
    canvas.focus()
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.search.includes('patches')")


def test_patches_are_painted_and_lead_to_features_in_colours(visit):
    page = visit("?layer=block_10&view=relevancy")
    page.locator("#removal summary").first.wait_for()  # nothing above the patches moves any more
    canvas = page.locator("#relevancy-patches canvas")
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    box = canvas.bounding_box()
    corners = [(2, 2), (2, 5), (6, 5)]  # column and row: down, then to the right
    for at, (col, row) in enumerate(corners):
        page.mouse.move(box["x"] + (col + 0.5) * box["width"] / 16, box["y"] + (row + 0.5) * box["height"] / 16)
        if not at:
            page.mouse.down()
    page.mouse.up()
    along = [*(16 * row + 2 for row in range(2, 5)), *(80 + col for col in range(2, 7))]
    until_query(page, patches=".".join(map(str, along)))
    feature = page.locator('#at-patches [data-field="mark"]').first
    feature.wait_for()
    mark = feature.get_attribute("data-value")
    click_at_once(page, "#at-patches [data-field=mark]", "#colours [data-field=mark]")
    page.locator("#colours .hsae-tints figure").nth(2).wait_for()
    assert mark.replace(":", "%3A") in page.url
    colours = page.locator("#colours figure > .hsae-still i").evaluate_all(
        "all => all.map((one) => getComputedStyle(one).color)"
    )
    assert colours[:2] == colours[2:]
    assert len(set(colours)) == 2
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('#at-patches .hsae-few i')).maskImage.startsWith('url(')"
    )


def test_a_preset_turns_its_photo_and_stands_beside_its_controls(visit):
    page = visit("?view=steer")
    page.locator("#presets button").first.click()
    page.locator("#presets button[aria-pressed=true]").wait_for()
    page.locator("#steer-result .hsae-verdict", has_text="a random direction, as far").first.wait_for()
    assert re.search(r"→ [\d.<]+ %", page.inner_text("#steer-result"))
    assert float(page.input_value("#dial input[type=number]")) != 0


def test_a_broken_file_changes_nothing_and_an_upload_is_seen_without_its_file_and_out_of_the_link(
    visit, broken_file, tmp_path
):
    page = visit()
    before = page.inner_text("#sees table")
    page.set_input_files("#photo input[type=file]", broken_file)
    page.locator(".toast-body", has_text="The photo is of an unknown format or broken").wait_for()
    assert page.inner_text("#sees table") == before
    page.locator("#photo img").wait_for()
    active = page.inner_text("#active")
    Image.new("RGB", (90, 130), "teal").save(tmp_path / "teal.png")
    for _ in range(2):
        page.set_input_files("#photo input[type=file]", tmp_path / "teal.png")
        page.wait_for_function(
            "() => { const shown = document.querySelector('#photo img');"
            " return shown && shown.src.startsWith('data:') && shown.naturalHeight === 130; }"
        )
        page.wait_for_function("old => document.querySelector('#active').innerText !== old", arg=active)
        page.locator('#thumbnails [aria-pressed="true"]').wait_for(state="detached")
        assert "image" not in query(page)
        page.locator("#photo").get_by_role("button", name="Remove image").click()
        page.locator("#photo img").wait_for(state="detached")
    until_query(page, image="")


def test_a_link_restores_model_layer_feature_photo_and_view(visit):
    page = visit("?layer=block_05&latent=7&image=food/lemon&view=feature")
    page.locator(".hsae-card", has_text="no. 7 of layer 05").wait_for()
    assert page.locator('#layer-strip [aria-pressed="true"]').inner_text() == "05"
    assert query(page) == {"layer": "block_05", "latent": "7", "image": "food/lemon", "view": "feature"}
    href = page.locator(".hsae-link").get_attribute("href")
    again = visit(href)
    again.locator(".hsae-card", has_text="no. 7 of layer 05").wait_for()


def test_two_visitors_do_not_meet(visit):
    one, other = visit(), visit()
    one.get_by_role("group", name="Layer", exact=True).get_by_role("button", name="02").click()
    until_query(one, layer="block_02")
    other.locator("#thumbnails button").nth(3).click()
    until_query(other, image=other.locator("#thumbnails button").nth(3).get_attribute("data-value").replace("/", "%2F"))
    assert other.locator('#layer-strip [aria-pressed="true"]').inner_text() != "02"
    assert "image" not in query(one)


def test_every_view_fits_a_phone_and_the_dark(visit):
    page = visit(f"?view={VIEWS[-1]}&__theme=dark", width=390, height=844)
    assert page.evaluate("document.body.classList.contains('dark')")
    for view in reversed(VIEWS):  # the first is that of the link
        open_view(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert [name for name in VIEWS if page.is_visible(f"#view-{name}")] == [view]

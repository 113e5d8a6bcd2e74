"""Text from outside never becomes markup, and numbers read well."""

from __future__ import annotations

import math
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsae.views.parts.markup import bar, button, notice, number, percent, picture_button, points, table


class Reader(HTMLParser):
    """Collects the tags, the attributes and the text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.found, self.text = [], {}, ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.found.update(attrs)

    def handle_data(self, data):
        self.text += data


@given(st.text(), st.text())
def test_a_button_has_its_text_and_value_whatever_they_hold(text, value):
    read = Reader(button(text, ("latent", value), title=text))
    assert read.tags == ["button"]
    assert read.found["data-value"].splitlines() == value.splitlines()
    assert read.text.splitlines() == text.splitlines()


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '" onclick="alert(1)', "'><img src=x onerror=alert(1)>"]
)
def test_hostile_text_adds_neither_tags_nor_attributes(hostile):
    pieces = [
        button(hostile, ("layer", hostile), title=hostile),
        picture_button("data:,", hostile, ("image", hostile), caption=hostile),
        notice(hostile),
        table(hostile, [hostile], []),
    ]
    for html in pieces:
        read = Reader(html)
        assert not {"script", "onclick", "onerror"} & ({*read.tags} | {*read.found})
        assert "<script" not in html


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.71, "71 %"), (0.0432, "4.3 %"), (1, "100 %"), (0.0001, "<0.1 %"), (math.nan, "–"), (None, "–")],
)
def test_percent(share, text):
    assert percent(share) == text


@pytest.mark.parametrize(("change", "text"), [(0.031, "+3.1"), (-0.0024, "−0.2"), (0.0004, "0.0"), (-0.0004, "0.0")])
def test_points_are_signed_unless_they_round_to_nothing(change, text):
    assert points(change) == text


def test_number_has_three_digits_and_a_sign_for_unknown():
    assert [number(v) for v in (0.12345, 17, None, math.inf)] == ["0.123", "17", "–", "–"]


@pytest.mark.parametrize(("share", "width"), [(0.5, "50.0%"), (7, "100.0%"), (-1, "0.0%"), (math.nan, "0.0%")])
def test_bars_stay_inside_their_box(share, width):
    assert f"width:{width}" in bar(share)


def test_the_chosen_row_and_button_are_marked():
    assert table("t", ["a"], [["1"], ["2"]], current=1).count("class=current") == 1
    assert 'aria-pressed="true"' in button("a", ("layer", "a"), pressed=True)
    assert "aria-pressed" not in button("a", ("layer", "a"))

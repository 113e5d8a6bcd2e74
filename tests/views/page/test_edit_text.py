"""Edits as text: every edit survives the way into a link and back; steps can be undone and done again."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsae.errors import InputError
from hsae.views.page.edit_text import MAX_PATCHES, REACH, SLIDERS, Steps, as_edit, read_edit, read_patches, write_edit

AMOUNTS = st.integers(-30, 30).filter(bool).map(lambda n: n / 10)


@given(st.dictionaries(st.integers(0, 23), AMOUNTS, max_size=SLIDERS))
def test_an_edit_survives_the_link(amounts):
    text = write_edit(amounts)
    assert read_edit(text, 24) == amounts
    assert re.fullmatch(r"[\w~.-]*", text)  # nothing a browser would encode


def test_a_slider_at_zero_is_left_out():
    """The trap of other demos: touching one slider must not set the others to 0."""
    assert write_edit({3: 0.0, 4: 1.5}) == "4~1.5"
    assert [(op.latent, op.mode, op.amount) for op in as_edit("block_01", {4: 1.5}, "cls").ops] == [(4, "add", 1.5)]


@pytest.mark.parametrize(
    "text",
    ["x", "3", "3~", "24~1", "3~0", "3~3.5", "3~nan", "3~1_3~2", "_", "3~1_", "-3~1", "3~1e1", "²~1", "3~1.234",
     "_".join(f"{n}~1" for n in range(SLIDERS + 1))],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(InputError, match="edit"):
        read_edit(text, 24)


def test_the_reach_itself_is_allowed():
    assert read_edit(f"1~{REACH:g}_2~-{REACH:g}", 24) == {1: REACH, 2: -REACH}


@pytest.mark.parametrize(
    "text", ["x", "1.", "1.1", "-1", "1..2", "²", "123456", ".".join(map(str, range(MAX_PATCHES + 1)))]
)
def test_patches_are_numbers_each_once(text):
    with pytest.raises(InputError, match="patches"):
        read_patches(text)


def test_patches():
    assert read_patches("") == ()
    assert read_patches("3.4.12") == (3, 4, 12)


def test_undo_and_redo_walk_the_steps():
    steps = Steps(("m", "l")).after("", "1~1").after("1~1", "1~1_2~2")
    text, steps = steps.back("1~1_2~2")
    assert text == "1~1"
    text, steps = steps.back(text)
    assert text == ""
    assert steps.back(text) == ("", steps)
    text, steps = steps.forth(text)
    text, steps = steps.forth(text)
    assert text == "1~1_2~2"
    assert steps.forth(text) == (text, steps)


def test_dragging_one_slider_is_one_step():
    steps = Steps().after("", "1~0.1").after("1~0.1", "1~0.2").after("1~0.2", "1~0.3")
    assert steps.back("1~0.3")[0] == ""
    other = steps.after("1~0.3", "1~0.3_2~1")
    assert other.back("1~0.3_2~1")[0] == "1~0.3"


def test_a_new_step_forgets_what_was_undone():
    text, steps = Steps().after("", "1~1").back("1~1")
    assert steps.after(text, "2~1").forth("2~1")[0] == "2~1"


def test_a_reset_can_be_undone_even_right_after_a_drag():
    steps = Steps().after("", "1~1")
    text, steps = steps.nothing("1~1")
    assert text == ""
    assert steps.back(text)[0] == "1~1"


def test_steps_belong_to_their_layer():
    steps = Steps(("m", "l")).after("", "1~1")
    assert steps.at("m", "l") is steps
    assert steps.at("m", "other").past == ()


def test_no_more_steps_are_kept_than_fit_a_page():
    steps, texts = Steps(), ["", *(f"{n % 20}~1" for n in range(200))]
    for old, new in pairwise(texts):
        steps = steps.after(old, new)
    assert len(steps.past) == 50

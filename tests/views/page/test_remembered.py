"""Slow views of starter photographs are worked out once, those of uploads every time."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr
import pytest

from hsae.errors import InputError
from hsae.views.page.remembered import Remembered
from hsae.views.page.selection import FIRST_PHOTO, Selection
from hsae.views.parts.view import View

HERE = Selection("model", "block_01", image=FIRST_PHOTO)


def counting(later: str = "heat maps", fails: bool = False) -> tuple[View, list[Selection]]:
    asked: list[Selection] = []

    def render(selection: Selection) -> list[str]:
        asked.append(selection)
        if fails:
            raise InputError("no map", "one")
        return [selection.layer]

    return View("map", ("layer", "image"), [gr.HTML()], render, later=later), asked


def test_a_starter_photograph_is_looked_at_once_for_all_visitors():
    view, asked = counting()
    known = Remembered()
    for selection in (HERE, replace(HERE, latent=3), replace(HERE, layer="block_02"), HERE):
        assert known.values(view, selection) == [selection.layer]
    assert [selection.layer for selection in asked] == ["block_01", "block_02"]


@pytest.mark.parametrize(("later", "image"), [("heat maps", "upload-1"), ("", FIRST_PHOTO)])
def test_uploads_and_quick_views_are_not_kept(later, image):
    view, asked = counting(later)
    known = Remembered()
    for _ in range(2):
        known.values(view, replace(HERE, image=image))
    assert len(asked) == 2


def test_what_went_wrong_is_tried_again_and_the_oldest_goes_first():
    view, asked = counting(fails=True)
    known = Remembered(most=1)
    for _ in range(2):
        with pytest.raises(InputError):
            known.values(view, HERE)
    assert len(asked) == 2
    view, asked = counting()
    for layer in ("a", "b", "a"):
        known.values(view, replace(HERE, layer=layer))
    assert len(asked) == 3

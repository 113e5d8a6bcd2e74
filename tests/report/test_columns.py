"""One table of columns: the format, its specification and the app's words follow from it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

import hsae
from hsae.artifacts.latents_file import FIRST, LATER, check_latents
from hsae.report.columns import COLUMNS, specification
from hsae.views.tabs.feature.card import numbers_html

README = Path(hsae.__file__).parent / "artifacts" / "README.md"


def test_the_specification_is_the_table():
    assert specification() in README.read_text(encoding="utf-8")
    assert all(f"| `{column.name}` |" in specification() for column in COLUMNS)


def test_names_are_unique_and_later_columns_come_last():
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)
    assert (*FIRST, *LATER) == COLUMNS


def test_the_packaged_tables_have_these_columns():
    artifact = hsae.Artifact.load("starter")
    table = artifact.latents(artifact.layers[0])
    assert list(table) == [column.name for column in COLUMNS]
    pd.testing.assert_frame_equal(check_latents(table, artifact.index.layers[0], len(artifact.classes)), table)


def test_the_card_says_every_number_that_has_words():
    row = pd.Series({column.name: 0.5 for column in COLUMNS})
    html = numbers_html(row)
    worded = [column.words for column in COLUMNS if column.words]
    assert all(f"<b>{words.name}</b>" in html for words in worded)
    assert html.count("<tr>") >= len(worded)
    assert "expected share of false finds" in html

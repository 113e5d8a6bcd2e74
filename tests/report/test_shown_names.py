"""One rule decides what a latent is called, for rows and for tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hsae.report.shown_names import (
    KEPT,
    OLDER,
    REFUSED,
    as_shown,
    labels,
    name_f1,
    name_nodes,
    name_of,
    names,
    said_first,
    status,
    status_of,
    telling,
)

CAT, DOG, CAR = "n02121808", "n02084071", "n02958343"
TABLE = pd.DataFrame(
    {
        "label": ["old", "old", "old", "unassigned", "old", None],
        "named": [1, 0, -1, -1, 1, -1],
        "node": [CAT, DOG, None, None, "n00000000", None],
        "best_node": [DOG, DOG, CAR, None, DOG, None],
        "lch": [CAR, DOG, CAR, None, DOG, None],
        "best_node_f1": [0.9, 0.9, 0.4, np.nan, 0.9, np.nan],
        "node_precision": [0.5, 0.9, np.nan, np.nan, 0.9, np.nan],
        "node_recall": [0.25, 0.9, np.nan, np.nan, 0.9, np.nan],
        "node_lift": [4.0, 9.0, np.nan, np.nan, 9.0, np.nan],
    },
    index=[3, 4, 5, 6, 7, 8],
)


def missing(values: pd.Series) -> list:
    return [None if pd.isna(value) else value for value in values]


def test_kept_refused_and_never_measured():
    assert status(TABLE).tolist() == [KEPT, REFUSED, OLDER, OLDER, REFUSED, OLDER]  # the fifth is no noun of WordNet
    assert missing(labels(TABLE)) == ["domestic cat", "unnamed", "old", "unassigned", "unnamed", None]
    assert missing(names(TABLE)) == ["domestic cat", None, "old", None, None, None]
    assert labels(TABLE).index.tolist() == TABLE.index.tolist()


def test_a_row_is_called_what_its_table_calls_it():
    assert [status_of(row) for _, row in TABLE.iterrows()] == status(TABLE).tolist()
    assert [name_of(row) for _, row in TABLE.iterrows()] == missing(names(TABLE))


def test_a_table_without_the_columns_is_of_the_older_rule():
    old = TABLE[["label", "best_node"]]
    assert set(status(old)) == {OLDER}
    assert missing(labels(old)) == missing(TABLE["label"])
    assert name_nodes(old, older="best_node").tolist()[:3] == [DOG, DOG, CAR]
    assert telling(old).tolist() == [0] * 6


def test_what_is_shown_has_no_word_for_a_refused_name_and_shows_the_same_again():
    shown = as_shown(TABLE)
    for column in ("node", "best_node", "lch"):
        assert missing(shown[column]) == [
            value if of != REFUSED else None for value, of in zip(missing(TABLE[column]), status(TABLE), strict=True)
        ]
    pd.testing.assert_frame_equal(shown[["node_precision", "node_lift"]], TABLE[["node_precision", "node_lift"]])
    pd.testing.assert_frame_equal(as_shown(shown), shown)
    assert "old" not in shown["label"].drop(5).tolist()
    assert TABLE["label"].tolist()[:3] == ["old"] * 3  # the table itself stays


def test_the_node_of_a_name_and_how_well_it_fits():
    assert missing(name_nodes(TABLE, older="best_node")) == [CAT, None, CAR, None, None, None]
    assert missing(name_f1(TABLE)) == [pytest.approx(1 / 3), None, 0.4, None, None, None]


def test_a_name_tells_its_precision_times_its_bits():
    assert telling(TABLE).tolist() == [pytest.approx(0.5 * 3), 0, 0, 0, 0, 0]  # pi = 0.5 / 4
    narrow, broad = pd.DataFrame(
        {"named": 1, "node": CAT, "node_precision": [0.4, 0.6], "node_lift": [40.0, 1.5]}
    ).pipe(telling)
    assert narrow > broad
    odd = pd.DataFrame({"named": 1, "node": CAT, "node_precision": [0.0, np.nan, 0.5], "node_lift": [0.0, 2, np.nan]})
    assert telling(odd).tolist() == [0, 0, 0]


def test_what_a_name_tells_was_known_before_the_test_images():
    known = TABLE.assign(node_worth=[1.25, 2.5, np.nan, np.nan, 3.5, np.nan])
    assert telling(known).tolist() == [1.25, 0, 0, 0, 0, 0]
    measured_otherwise = known.assign(node_precision=0.1, node_lift=1.1)
    assert telling(measured_otherwise).equals(telling(known))
    assert not telling(measured_otherwise.drop(columns="node_worth")).equals(telling(known))  # control


def test_what_is_said_comes_first_and_the_rest_as_it_came():
    known = {"named": 1, "node": CAT, "node_lift": 12.0, "node_precision": [0.9, 0.4, 0.8, 0.3]}
    active = pd.DataFrame({"latent": [0, 1, 2, 3], "said": [False, True, False, True]}).assign(**known)
    assert said_first(active)["latent"].tolist() == [1, 3, 0, 2]
    assert said_first(active.iloc[:0]).empty

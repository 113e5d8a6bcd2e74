"""Columns that came later: a file may end before any of them, but leaves none out in between and adds none."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from hsae.artifacts.index import Layer
from hsae.artifacts.latents_file import FIRST, LATER, check_latents, read_latents, write_latents
from hsae.errors import ArtifactError

LAYER = Layer("block_01", 4, 3)
NAMES_FIRST = [column.name for column in FIRST]
NAMES = NAMES_FIRST + [column.name for column in LATER]


def table(**columns) -> pd.DataFrame:
    return check_latents(pd.DataFrame({"dead": [True, False, False]} | columns), LAYER, 5)


def reread(frame, path) -> pd.DataFrame:
    write_latents(path, frame)
    return check_latents(read_latents(path, "latents", LAYER), LAYER, 5)


@pytest.mark.parametrize("last", [None, "rate_lch", "rate_f1", "likeness_q_value", "node_threshold"])
def test_a_file_ends_with_the_last_column_of_which_something_is_known(tmp_path, last):
    known = {} if last is None else {last: ["n02084071" if last == "rate_lch" else 0.25, None, None]}
    frame = table(**known)
    back = reread(frame, tmp_path / "latents.parquet")
    written = pq.read_schema(tmp_path / "latents.parquet").names
    assert written == (NAMES_FIRST if last is None else NAMES[: NAMES.index(last) + 1])
    assert list(back.columns) == NAMES
    pd.testing.assert_frame_equal(back, frame)
    if last is not None:
        assert back[last].notna().tolist() == [True, False, False]


def test_a_column_left_out_or_added_is_refused(tmp_path):
    path = tmp_path / "latents.parquet"
    frame = table(rate_f1=[0.5, np.nan, 1])
    write_latents(path, frame)
    whole = pq.read_table(path)
    changed = {
        "left out": whole.drop_columns(["rate_coverage"]),
        "added": whole.append_column("another", whole["frequency"]),
        "first one missing": whole.drop_columns(whole.column_names[17:]),
        "renamed": whole.rename_columns([*whole.column_names[:-1], "ap"]),
    }
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False, "store_schema": False}
    for name, other in changed.items():
        pq.write_table(other, path, **options)
        with pytest.raises(ArtifactError, match="columns"):
            pytest.fail(f"{name}: {read_latents(path, 'latents', LAYER).columns}")
    pq.write_table(whole.select(NAMES_FIRST), path, **options)
    assert list(read_latents(path, "latents", LAYER).columns) == NAMES_FIRST


@pytest.mark.parametrize(
    ("name", "value"), [("ap", 1.5), ("rate_f1", -1), ("monosemanticity_other", -2), ("ap_node", "dog")]
)
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(ArtifactError, match=name):
        table(**{name: [value] * 3})

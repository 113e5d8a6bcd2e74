from __future__ import annotations

import pytest

from hsae.steering import __main__ as nearest
from hsae.steering import benchmark
from hsae.steering.segmentation import __main__ as segmentation


@pytest.mark.parametrize("command", [nearest.main, benchmark.main, segmentation.main])
def test_errors_are_one_sentence_and_exit_status_1(command, tmp_path, capsys):
    assert command([str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("ArtifactError: ")
    assert "Traceback" not in said.err
    assert said.out == ""

from __future__ import annotations

import pytest

from hsae.commands import nearest, segmentation
from training.benchmarks import steering as benchmark


@pytest.mark.parametrize("command", [nearest.main, benchmark.main, segmentation.main])
def test_errors_are_one_sentence_and_exit_status_1(command, tmp_path, capsys):
    assert command([str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("ArtifactError: ")
    assert "Traceback" not in said.err
    assert said.out == ""

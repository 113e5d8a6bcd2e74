"""What is compiled is kept where Python may write, and compiles anew where it may not."""

import subprocess
import sys
from pathlib import Path

import pytest
from numba.core import caching

from hsae.measures.wordnet.kernels import compiled

ROOT = Path(__file__).resolve().parents[3]


def double(x):
    return 2 * x


def test_where_nothing_can_be_kept_functions_compile_all_the_same(monkeypatch):
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])  # as in a folder that is for reading only
    assert compiled(double)(21) == 42


@pytest.mark.slow
def test_numba_is_not_loaded_before_something_is_ranked():
    code = "import sys, hsae.measures.wordnet.scoreboard, hsae.report.tree; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

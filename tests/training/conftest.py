"""Runs over all packaged photographs take seconds only because these are small, and garbage is little."""

import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def _small(small_starter) -> None:
    """Except in processes that a test starts."""


@pytest.fixture(autouse=True)
def _little_garbage() -> None:
    """A run collects garbage after each of its stages: not in what was there before, such as modules loaded by then."""
    gc.freeze()

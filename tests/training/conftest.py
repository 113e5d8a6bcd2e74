"""Runs over all packaged photographs take seconds only because these are small."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _small(small_starter) -> None:
    """Except in processes that a test starts."""

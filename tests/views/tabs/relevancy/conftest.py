"""A model with an artifact of its patches at one layer."""

from __future__ import annotations

import pytest

from hsae.artifacts.artifact import Artifact
from hsae.views.page.desk import Desk
from hsae.views.page.models import Models
from hsae.views.page.photos import Photos
from tests.views.page.test_models import of_patches

LAYER = "block_02"


@pytest.fixture(scope="module")
def both(artifact: Artifact) -> Desk:
    """Its backbone is there."""
    models = Models([artifact, of_patches(artifact).only([LAYER])])
    models.settle(60)
    return Desk(models, Photos())

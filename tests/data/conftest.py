"""Small real sources of images, and a cache of `datasets` that goes away with the test run."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

CAT, DOG, OAK = "n02121808", "n02084071", "n12268246"


def png(shade: int, mode: str = "L") -> bytes:
    stream = BytesIO()
    Image.new(mode, (16, 12), shade if mode == "L" else (shade, shade, shade, 255)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="session", autouse=True)
def _own_datasets_cache(tmp_path_factory):
    import datasets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


@pytest.fixture
def folder(tmp_path) -> Path:
    """Dogs 10, 11; cats 0, 1, 2 (one deeper, one upper case); by shade of gray."""
    files = {f"{CAT}/b.png": 0, f"{CAT}/images/a.PNG": 1, f"{CAT}/c.png": 2, f"{DOG}/b.png": 10, f"{DOG}/a.png": 11}
    for path, shade in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(png(shade))
    return tmp_path


@pytest.fixture
def broken_folder(tmp_path):
    """Build a folder of `total` images, of which those numbered in `broken` are cut short."""

    def build(total: int, broken: set[int]) -> Path:
        (tmp_path / OAK).mkdir()
        for number in range(total):
            data = png(number % 256)
            (tmp_path / OAK / f"{number:04}.png").write_bytes(data[: len(data) // 2] if number in broken else data)
        return tmp_path

    return build

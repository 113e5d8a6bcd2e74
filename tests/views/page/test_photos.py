"""Photographs are kept by content, in bounded number, and one visitor's never becomes another's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from hsae.errors import InputError
from hsae.views.page.photo import STRIP
from hsae.views.page.photos import Photo, Photos, starter_keys, thumbnail


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8))


def test_the_same_content_has_the_same_key_and_another_another():
    photos = Photos()
    assert photos.add(picture(0)) == photos.add(picture(0)) != photos.add(picture(1))
    flat, tall = Image.new("RGB", (20, 40)), Image.new("RGB", (40, 20))
    assert photos.add(flat) != photos.add(tall)


def test_the_oldest_photo_is_forgotten_and_the_page_says_so():
    photos = Photos(kept=2)
    first = photos.add(picture(0))
    second = photos.add(picture(1))
    photos.image(first)  # used again, so the second is the oldest now
    photos.add(picture(2))
    assert photos.image(first).size == (40, 40)
    with pytest.raises(InputError, match="no longer kept"):
        photos.image(second)


def test_starter_photos_come_back_after_they_were_forgotten():
    photos = Photos(kept=1)
    before = photos.image("animals/dog")
    photos.add(picture(0))
    assert "animals/dog" not in photos
    assert np.array_equal(np.asarray(photos.image("animals/dog")), np.asarray(before))


@pytest.mark.parametrize("key", ["", "upload-x", "no/such"])
def test_no_photo_is_a_sentence(key):
    with pytest.raises(InputError):
        Photos().image(key)


def test_each_photo_has_its_own_session_and_they_share_the_backbone(desk):
    model = desk.models["unsaved"]
    keys = [desk.photos.add(picture(seed)) for seed in (0, 1)]
    first, second = (desk.photos.session(model, key) for key in keys)
    assert first.backbone is second.backbone
    assert not np.array_equal(np.asarray(first.crop), np.asarray(second.crop))
    assert desk.photos.session(model, keys[0]) is first


class SlowImage(Image.Image):
    """A photograph whose pixels keep whoever looks at them until `seen` is set."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 40, 40
        self.looked, self.seen = threading.Event(), threading.Event()

    def convert(self, *_, **__) -> Image.Image:
        self.looked.set()
        self.seen.wait(60)
        return picture(0)


def test_who_looks_at_another_photo_does_not_wait_for_a_model(desk):
    model, slow = desk.models["unsaved"], SlowImage()
    desk.photos._photos["slow"] = Photo(slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(desk.photos.session, model, "slow")
        assert slow.looked.wait(60)
        other = pool.submit(lambda: desk.photos.session(model, desk.photos.add(picture(1))))
        try:
            assert other.result(timeout=300).crop
            assert not first.done()
        finally:
            slow.seen.set()


def test_the_strip_has_natural_photographs_by_theme_and_is_small():
    keys = [key for theme in STRIP.values() for key in theme]
    assert len(set(keys)) == len(keys) >= 24
    assert set(keys) <= {key for key in starter_keys() if key.startswith("photos/")}
    assert sum(len(thumbnail(key)) for key in keys) < 160_000

"""Photographs in memory: the latest few, with what each model made of them; nothing is written anywhere."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import lru_cache

from PIL import Image

from hsae.data.starter import starter_names
from hsae.data.starter_photos import starter_image
from hsae.errors import InputError
from hsae.session import Session
from hsae.views.page.models import Model
from hsae.views.page.squares import split_key, square_box
from hsae.views.parts.charts import image_uri

KEPT = 32
UPLOAD = "upload-"


@dataclass(frozen=True)
class Photo:
    """One photograph, and a session for every model that has looked at it."""

    image: Image.Image
    sessions: dict[str, Session] = field(default_factory=dict)
    running: threading.Lock = field(default_factory=threading.Lock)
    """Held while a model looks at it for the first time: who asks for another photograph does not wait for that."""


class Photos:
    """The `KEPT` photographs used last, by key: a starter key, or the hash of an upload's content.

    Visitors share an entry only when they show the very same picture, and nothing in it depends on a visitor.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._photos: OrderedDict[str, Photo] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: object) -> bool:
        return key in self._photos

    def add(self, image: Image.Image) -> str:
        """Keep an uploaded image; returns its key."""
        key = UPLOAD + hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
        with self._lock:
            self._keep(key, self._photos.get(key) or Photo(image))
        return key

    def image(self, key: str) -> Image.Image:
        """The photograph, upright RGB; InputError when it is not kept any more."""
        return self._photo(key).image

    def session(self, model: Model, key: str) -> Session:
        """The model's session on a photograph: one forward pass when it is new, then the same one again."""
        whole = model.whole
        base = whole.session()
        photo = self._photo(key)
        with photo.running:
            if whole.name not in photo.sessions:
                session = base.like()
                session.set_image(photo.image)
                photo.sessions[whole.name] = session
            return model.of(photo.sessions[whole.name])

    def crop(self, model: Model, key: str, side: int = 448) -> Image.Image:
        """The square of a photograph that the model sees, in more pixels than the model gets."""
        seen = model.session().backbone.preprocessing
        return replace(seen, image_size=side).crop(self.image(key))

    def _photo(self, key: str) -> Photo:
        if not key:
            raise InputError("There is no photo yet", do="Pick one on the left, or drop your own there.")
        photo = self._photos.get(key) or self._made(key)  # decoded outside the lock
        with self._lock:
            photo = self._photos.get(key) or photo
            self._keep(key, photo)
        return photo

    def _made(self, key: str) -> Photo:
        """A starter photograph, or of any photograph the part with the chosen square, which is then its whole."""
        whole, place = split_key(key)
        if whole == key:
            return _starter_photo(key)
        image = self._photo(whole).image
        return Photo(image.crop(square_box(image.size, place)))

    def _keep(self, key: str, photo: Photo) -> None:
        self._photos[key] = photo
        self._photos.move_to_end(key)
        while len(self._photos) > self._kept:
            self._photos.popitem(last=False)


def starter_keys() -> dict[str, str]:
    """Key -> name in words of every starter photograph, natural ones first."""
    return starter_names()


@lru_cache(maxsize=600)
def thumbnail(key: str, side: int = 96) -> str:
    """A starter photograph as a small data URI."""
    image = _starter_photo(key).image.copy()
    image.thumbnail((side, side))
    return image_uri(image)


def _starter_photo(key: str) -> Photo:
    if key not in starter_keys():
        raise InputError(
            f"This photo is no longer kept here: the app remembers the {KEPT} used last, and never writes one down",
            do="Drop it again on the left.",
        )
    return Photo(starter_image(key))

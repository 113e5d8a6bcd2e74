"""A picture of the page, 1200 x 630, as links show it beside themselves and as a card to save."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont, ImageOps

SIZE = (1200, 630)
MOST = 12
"""Frames that are legible; of more an even choice is drawn, the first and the last among them."""
_PAPER, _INK, _GREY, _LINE, _BLUE = "#ffffff", "#16181d", "#5a6270", "#d9dde3", "#0072b2"
_LEFT, _PHOTO, _FILM, _TOP, _COLUMNS = 40, 300, 372, 130, 6
_WIDTH = (SIZE[0] - _LEFT - _FILM) // _COLUMNS


@dataclass(frozen=True)
class Lettering:
    """How a text is set."""

    size: int
    width: int
    """Characters of a line."""
    most: int = 1
    """Lines."""
    ink: str = _INK


_TITLE, _SENTENCE = Lettering(42, width=50), Lettering(23, width=98, most=3)
_FOOT, _UNDER = Lettering(20, width=110, ink=_GREY), Lettering(19, width=14)


@dataclass(frozen=True)
class Frame:
    """One small picture with a line under it."""

    image: Image.Image
    words: str
    share: float | None = None
    """Length of its bar, in [0, 1]; None for no bar."""


@dataclass(frozen=True)
class Poster:
    """All that stands on the picture."""

    title: str
    photo: Image.Image | None
    frames: Sequence[Frame]
    sentence: str
    foot: str


def draw(poster: Poster) -> Image.Image:
    """Title, photograph, frames in two rows, sentence and foot."""
    sheet = Image.new("RGB", SIZE, _PAPER)
    pen = ImageDraw.Draw(sheet)
    _lines(pen, (_LEFT, 34), poster.title, _TITLE)
    if poster.photo is not None:
        sheet.paste(ImageOps.fit(poster.photo, (_PHOTO, _PHOTO)), (_LEFT, _TOP))
    for at, frame in enumerate(thinned(poster.frames, MOST)):
        _frame(sheet, pen, frame, (_FILM + at % _COLUMNS * _WIDTH, _TOP + at // _COLUMNS * (_WIDTH + 48)))
    _lines(pen, (_LEFT, 486), poster.sentence, _SENTENCE)
    pen.line((_LEFT, 574, SIZE[0] - _LEFT, 574), fill=_LINE)
    _lines(pen, (_LEFT, 586), poster.foot, _FOOT)
    return sheet


def encoded(poster: Poster, format: str = "JPEG") -> bytes:
    """The picture as the bytes of a file."""
    stream = BytesIO()
    draw(poster).save(stream, format, quality=88)
    return stream.getvalue()


def thinned(items: Sequence[Frame], most: int) -> list[Frame]:
    """At most `most` of them, evenly spaced, both ends included."""
    if len(items) <= most:
        return list(items)
    return [items[round(at * (len(items) - 1) / (most - 1))] for at in range(most)]


def _frame(sheet: Image.Image, pen: ImageDraw.ImageDraw, frame: Frame, at: tuple[int, int]) -> None:
    left, top = at
    side = _WIDTH - 10
    sheet.paste(ImageOps.fit(frame.image, (side, side)), at)
    if frame.share is not None:
        pen.rectangle((left, top + side + 4, left + side, top + side + 10), fill=_LINE)
        pen.rectangle((left, top + side + 4, left + round(side * frame.share), top + side + 10), fill=_BLUE)
    _lines(pen, (left, top + side + 14), frame.words, _UNDER)


def _lines(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, lettering: Lettering) -> None:
    """Text in lines, cut after the last one there is room for."""
    lines = textwrap.wrap(plain(text), lettering.width, max_lines=lettering.most, placeholder=" ...")
    pen.multiline_text(at, "\n".join(lines), fill=lettering.ink, font=_font(lettering.size), spacing=6)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def plain(text: str) -> str:
    """Text in the letters that the font has: accents dropped, other writing left out."""
    folded = unicodedata.normalize("NFKD", text.replace("→", "to").replace("−", "-"))
    return "".join(letter for letter in folded if " " <= letter <= "~" or letter in "“”·")

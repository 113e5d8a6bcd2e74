"""Pictures that differ in one thing: an object on a background, and the same with one of the two changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from hsae.data.sample import Sample
from hsae.data.samples import Samples
from hsae.errors import InputError
from hsae.faithfulness.scenes import Place, cut_out, paste_at

SIZE, CORNERS = 0.45, (0.03, 0.52)
"""Longer side of an object, and where its quarter of the picture begins, in shares of the picture's side."""
BLUR = 0.02
"""Standard deviation of the blur that takes texture away, as a share of the picture's side."""


@dataclass(frozen=True, eq=False)
class Setting:
    """What a picture is made of."""

    sample: Sample
    background: Image.Image
    corner: tuple[int, int]
    """Column and row of the quarter the object stands in, each 0 or 1."""

    def picture(self) -> Image.Image:
        """The object on the background."""
        side = self.background.width
        left, top, right, bottom = cut_out(self.sample)[1]
        scale = SIZE * side / max(right - left, bottom - top)
        width, height = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
        column, row = (round(CORNERS[at] * side) for at in self.corner)
        return paste_at(self.sample, self.background, Place(column, row, width, height)).image


def variations(setting: Setting, other: Setting) -> dict[str, Image.Image]:
    """The picture (`base`), and one for each thing that is changed; `other` says what is exchanged for what.

    object, background: exchanged; place: the opposite quarter; pose: the object mirrored where it stands; colour: the
    object in opposite hues; grey, blur: the whole picture without colour, or without fine texture.
    """
    sample, base = setting.sample, setting.picture()
    return {
        "base": base,
        "object": replace(setting, sample=other.sample).picture(),
        "background": replace(setting, background=other.background).picture(),
        "place": replace(setting, corner=(1 - setting.corner[0], 1 - setting.corner[1])).picture(),
        "pose": replace(setting, sample=mirrored(sample)).picture(),
        "colour": replace(setting, sample=replace(sample, image=opposite_hues(sample.image))).picture(),
        "grey": base.convert("L").convert("RGB"),
        "blur": base.filter(ImageFilter.GaussianBlur(BLUR * base.width)),
    }


def settings(
    samples: Samples, backgrounds: Sequence[Image.Image], n: int, seed: int = 0
) -> Iterator[tuple[Setting, Setting]]:
    """`n` pairs for `variations`: objects of two classes, two backgrounds, a random quarter; the same for a seed.

    InputError for fewer than two backgrounds, or cut-outs of fewer than two classes.
    """
    labels = np.array([-1 if label is None else label for label in samples.labels])
    if len(backgrounds) < 2 or len(set(labels.tolist())) < 2:
        got = f"{len(backgrounds)} backgrounds and objects of {len(set(labels.tolist()))} classes"
        raise InputError(got, "two or more of each, to be exchanged for each other")
    generator = np.random.default_rng(seed)
    for _ in range(n):
        row = int(generator.integers(len(labels)))
        other = int(generator.choice(np.flatnonzero(labels != labels[row])))
        first, second = generator.choice(len(backgrounds), 2, replace=False).tolist()
        corner = (int(generator.integers(2)), int(generator.integers(2)))
        yield (
            Setting(samples.read(row), backgrounds[first], corner),
            Setting(samples.read(other), backgrounds[second], corner),
        )


def mirrored(sample: Sample) -> Sample:
    """Left and right exchanged."""
    return replace(sample, image=ImageOps.mirror(sample.image), mask=np.asarray(ImageOps.mirror(cut_out(sample)[0])))


def opposite_hues(image: Image.Image) -> Image.Image:
    """Every hue turned by half a circle; brightness and saturation stay."""
    hue, saturation, value = image.convert("HSV").split()
    return Image.merge("HSV", (hue.point(lambda h: (h + 128) % 256), saturation, value)).convert("RGB")

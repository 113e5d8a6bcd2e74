"""What a patch head sees in the photograph before and after an edit, as coloured maps."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from hsae.hierarchy import wordnet
from hsae.steering.segmentation.maps import Segmentation
from hsae.views.parts.charts import image_uri
from hsae.views.parts.markup import esc, percent

# Told apart by the colour blind too (Okabe and Ito), and a few more for longer lists.
_PALETTE = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167),
    (150, 150, 150), (120, 60, 20), (160, 220, 160), (90, 60, 160),
)  # fmt: skip
_OPACITY = 0.55


def segmentation_html(crop: Image.Image, maps: Segmentation, *, moved: bool) -> str:
    """Both maps over the square the model sees, their legend, and how many pixels changed where."""
    colours = class_colours(maps.classes)
    figures = "".join(
        f'<figure class="hsae-heat"><img src="{image_uri(_painted(crop, classes, colours), "PNG")}"'
        f' alt="{esc(_told(maps.classes, classes, when))}"><figcaption>{when}</figcaption></figure>'
        for when, classes in (("before", maps.before), ("after", maps.after))
    )
    here = sorted({*np.unique(maps.before).tolist(), *np.unique(maps.after).tolist()})
    legend = "".join(
        f'<span><i style="background:rgb({red} {green} {blue})"></i>{esc(_name(maps.classes[at]))}</span>'
        for at, (red, green, blue) in ((at, colours[at].tolist()) for at in here)
    )
    said = _changed(maps) if moved else "Move a slider, and push at patches, to change the map."
    return f'<p>{esc(said)}</p><div class="hsae-heats">{figures}</div><p class="hsae-legend">{legend}</p>'


def _changed(maps: Segmentation) -> str:
    words = f"Pixels that changed their class: {_share(maps.target_changed)} of the pushed patches,"
    words += f" {_share(maps.other_changed)} of the rest."
    if maps.control is not None:
        target, other = maps.control_changed
        words += f" A random push of the same length: {_share(target)} and {_share(other)}."
    return words


def _share(value: float) -> str:
    return "none" if math.isnan(value) else percent(value)


def class_colours(classes: tuple[str, ...]) -> np.ndarray:
    """One colour per class, uint8 `[n_classes, 3]`; background is black."""
    colours = np.zeros((len(classes), 3), dtype=np.uint8)
    for rank, at in enumerate(at for at, name in enumerate(classes) if name != "background"):
        colours[at] = _PALETTE[rank % len(_PALETTE)]
    return colours


def _painted(crop: Image.Image, classes: np.ndarray, colours: np.ndarray) -> Image.Image:
    paint = Image.fromarray(colours[classes]).resize(crop.size, Image.Resampling.NEAREST)
    return Image.blend(crop, paint, _OPACITY)


def _told(names: tuple[str, ...], classes: np.ndarray, when: str) -> str:
    """The largest classes of a map in words."""
    counts = np.bincount(classes.ravel(), minlength=len(names)) / classes.size
    largest = [at for at in np.argsort(-counts, kind="stable")[:3].tolist() if counts[at] > 0]
    return f"Segmentation {when}: " + ", ".join(f"{_name(names[at])} {percent(counts[at])}" for at in largest)


def _name(name: str) -> str:
    return wordnet().name(name) if name in wordnet() else name

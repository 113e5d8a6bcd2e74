"""The buttons over a feature's page: through the layer, to the other views, and onto the visitor's own list."""

from __future__ import annotations

import numpy as np

from hsae.views.page.kept import read_kept, write_feature
from hsae.views.page.models import Model
from hsae.views.page.selection import RANDOM, Selection
from hsae.views.parts.markup import button

_STRONG = 1
"""Where a slider starts, in units of the feature's strong activation."""


def walk_html(model: Model, selection: Selection, latent: int) -> str:
    """Previous, random and next living feature; the visitor's photo, steering, and the list."""
    here = write_feature((selection.layer, latent))
    kept = (selection.layer, latent) in read_kept(selection.kept, model.sizes)
    before, after = beside(model, selection.layer, latent)
    faces = [
        button("‹ previous", ("latent", before), title=f"feature no. {before}"),
        button("random", ("feature", RANDOM), title="Any feature of any layer"),
        button("next ›", ("latent", after), title=f"feature no. {after}"),
        button("where in my photo", ("view", "relevancy"), title="Which parts of your photo it comes from"),
        button("turn it", ("turned", f"{latent}~{_STRONG}"), title="Turn it up inside the model"),
        button("on my list" if kept else "put on my list", ("keep", here), pressed=kept),
    ]
    return f'<div class="hsae-walk" role="group" aria-label="From this feature">{"".join(faces)}</div>'


def beside(model: Model, layer: str, latent: int) -> tuple[int, int]:
    """The living features before and after one, by number, round and round."""
    living = np.flatnonzero(~model.latents(layer)["dead"].to_numpy(bool))
    if not len(living):
        return latent, latent
    return (
        int(living[np.searchsorted(living, latent) - 1]),
        int(living[np.searchsorted(living, latent, "right") % len(living)]),
    )

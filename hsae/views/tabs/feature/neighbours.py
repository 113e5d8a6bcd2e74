"""A feature's neighbours in its layer: those that point the same way, and those that fire on the same images."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hsae.views.page.desk import numbered_name
from hsae.views.page.models import Model
from hsae.views.parts.markup import button

_SHOWN = 6


def neighbours_html(model: Model, layer: str, latent: int) -> str:
    """Both kinds as buttons; empty where there are none."""
    same = [(other, f"{cosine:.2f}".replace("-", "−")) for other, cosine in nearest(model, layer, latent)]
    both = [(other, f"{share} %") for other, share in model.together(layer, latent)]
    rows = "".join(
        f"<p>{words} {''.join(_face(model, layer, *pair) for pair in some)}</p>"
        for words, some in (
            ("Its direction is most like that of (cosine):", same),
            ("Fire on the same images (of the images of either, those of both):", both),
        )
        if some
    )
    return f"<h3>Neighbours in this layer</h3>{rows}" if rows else ""


def nearest(model: Model, layer: str, latent: int) -> Sequence[tuple[int, float]]:
    """The living latents whose decoder rows have the largest cosine with this one's, and the cosines."""
    rows = torch.nn.functional.normalize(model.artifact.sae(layer).W_dec.detach(), dim=1)
    cosines = rows @ rows[latent]
    cosines[model.latents(layer)["dead"].tolist()] = -torch.inf
    cosines[latent] = -torch.inf
    values, others = cosines.topk(min(_SHOWN, len(cosines)))
    return [(int(at), float(value)) for at, value in zip(others, values, strict=True) if torch.isfinite(value)]


def _face(model: Model, layer: str, other: int, words: str) -> str:
    name = numbered_name(model.latents(layer).iloc[other], other)
    return button(f"{name} · {words}", ("latent", other), title=f"feature no. {other}")

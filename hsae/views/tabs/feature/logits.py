"""Which classes a feature speaks for and against: what it adds to the logits of its layer's probe."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hsae.views.page.models import Model
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import esc, named_node, signed_bar, table
from hsae.views.tabs.feature.words import pushes_words

_SHOWN = 5


def logits_html(model: Model, layer: str, latent: int, strong: float) -> str:
    """The classes it raises and lowers most when it fires with the value `strong`; empty without a probe."""
    if not model.has_classes or not strong > 0:
        return ""
    pushed = class_logits(model, layer, latent) * strong
    names, order = model.artifact.classes, torch.argsort(pushed, descending=True)
    most = float(pushed.abs().max()) or 1.0
    raised = [at for at in order[:_SHOWN].tolist() if pushed[at] > 0]
    lowered = [at for at in order.flip(0)[:_SHOWN].tolist() if pushed[at] < 0]
    halves = "".join(
        f"<div><h4>{word}</h4>{_classes(word, [names[at] for at in some], pushed[some].tolist(), most)}</div>"
        for word, some in (("raises", raised), ("lowers", lowered))
    )
    towards = pushes_words(model, layer, latent)
    told = f"<p>It {esc(towards)}.</p>" if towards else ""
    return (
        f'<h3>Classes it speaks for and against</h3>{told}<div class="hsae-halves">{halves}</div><p class="hsae-hint">'
        f"What its direction adds to the logits of layer {esc(short_layer(layer))}'s own probe when it fires strongly,"
        " against the mean of all classes. That is what it is read as here, not what the model does with it.</p>"
    )


def class_logits(model: Model, layer: str, latent: int) -> torch.Tensor:
    """Change of each class's logit `[n_classes]` for one unit of the latent, less the mean over classes."""
    direction = model.artifact.sae(layer).W_dec[latent].detach()
    pushed = model.artifact.probe(layer).pushed(direction)
    return pushed - pushed.mean()


def _classes(word: str, wnids: Sequence[str], changes: Sequence[float], most: float) -> str:
    rows = [
        [named_node(wnid), signed_bar(change / most) + f" {change:+.1f}".replace("-", "−")]
        for wnid, change in zip(wnids, changes, strict=True)
    ]
    return table(f"Classes that it {word}", ["class", "logit"], rows)

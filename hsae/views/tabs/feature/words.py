"""What a feature does and when, in a few words: the concepts it pushes towards, the classes it fires on."""

from __future__ import annotations

from hsae.hierarchy import wordnet
from hsae.views.page.models import Model

_CLASSES = 2


def words(model: Model, layer: str, latent: int) -> str:
    """Pushes towards church; fires on 58 % of “church” and 12 % of “castle” images. Plain text, "" without classes."""
    return "; ".join(filter(None, (pushes_words(model, layer, latent), fires_words(model, layer, latent))))


def pushes_words(model: Model, layer: str, latent: int) -> str:
    """The WordNet nodes that its direction pushes the layer's probe towards; "" for none that chance would not give."""
    if not model.has_classes:
        return ""
    nodes = model.pushes(layer).towards(model.artifact.sae(layer).W_dec[latent].detach())
    names = " and ".join(f"“{wordnet().name(node)}”" for node in nodes)
    return f"pushes towards {names}" if names else ""


def fires_words(model: Model, layer: str, latent: int) -> str:
    """The classes on whose images it fires most often; "" where that is not known."""
    profile, classes = model.profile(layer, latent), model.artifact.classes
    shares = () if profile is None else profile.classes[:_CLASSES]
    told = " and ".join(f"{percent} % of “{wordnet().name(classes[column])}”" for column, percent in shares)
    return f"fires on {told} images" if told else ""

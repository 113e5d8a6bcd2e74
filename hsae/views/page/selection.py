"""The one state that a page's views share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ScopeChoice = Literal["cls", "patches", "all", "chosen"]
SCOPES: tuple[ScopeChoice, ...] = ("cls", "patches", "all", "chosen")
SHOWS = ("classes", "control", "nearest", "downstream", "segmentation")
FIRST_PHOTO = "photos/farm/dog"
SURPRISE = "surprise"
"""In place of a concept: any of them."""
RANDOM = "random"
"""In place of a feature: any living one of any layer."""
MARKS = 4
"""Features in colours at a time: as many as there are colours that everybody can tell apart."""


@dataclass(frozen=True)
class Selection:
    """What a visitor has chosen: small values only, each visitor's own."""

    model: str
    layer: str
    latent: int | None = None
    """None: the views show the photo's strongest feature (`Models.focus`)."""
    image: str = FIRST_PHOTO
    """Key of a starter photograph or of an upload; "" for none."""
    concept: str = ""
    """WordNet id of what is looked for in the photograph; "" for what the photograph shows."""
    less: str = ""
    """WordNet id of what the dial turns away from while it turns to the concept; "" for nothing else."""
    view: str = "carries"
    """The open tab, one of `TABS`."""
    method: str = ""
    """Relevancy method; "" for the default of the model."""
    edit: str = ""
    """What is steered at the layer (`edit_text`); "" for nothing."""
    scope: ScopeChoice | Literal[""] = ""
    """Where: one of `SCOPES`; "" for the tokens the model's SAEs read."""
    patches: str = ""
    """Chosen patches of the photograph, e.g. 3.4.12."""
    marks: str = ""
    """Features of the layer shown side by side in colours, e.g. feature:841,patch:12 (`Model.markable`)."""
    pair: str = ""
    """Layers compared with another model's, e.g. block_09:stage_5; "" for the best partner of the layer."""
    shows: str = ""
    """What the Steer view shows of an edit's effect, one of `SHOWS`; "" for the classes."""
    kept: str = ""
    """The visitor's own list of features (`kept`)."""

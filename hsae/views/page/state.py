"""How a click, a link or a query string changes what a visitor has chosen."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from hsae.errors import HsaeError, InputError
from hsae.relevancy import METHODS
from hsae.views.page.desk import Desk
from hsae.views.page.edit_text import read_edit, read_patches, write_edit
from hsae.views.page.kept import read_feature, read_kept, toggled, write_feature
from hsae.views.page.models import Models
from hsae.views.page.photos import UPLOAD, Photos, starter_keys
from hsae.views.page.selection import MARKS, RANDOM, SCOPES, SHOWS, SURPRISE, Selection
from hsae.views.page.squares import PLACES, placed, split_key
from hsae.views.page.tabs import TABS
from hsae.views.parts.say import brief
from hsae.views.tabs.concept.concept import concept_of
from hsae.views.tabs.feature.search import first_found
from hsae.views.tabs.steer.dial import dialled, opening_layer

Known = TypeVar("Known", bound=str)
VIEWS = tuple(TABS)
_KEEPS_VIEW = ("feature", "relevancy", "steer")


@dataclass(frozen=True)
class Choices:
    """Everything that can be chosen: checks what comes from browsers, which may be anything."""

    models: Models
    photos: Photos

    def first(self) -> Selection:
        """What a visitor without a link sees."""
        name = next(iter(self.models))
        return Selection(name, self.models[name].first_layer)

    def click(self, selection: Selection, field: str, value: object) -> Selection:
        """As `choose`; a view that is opened may also go to where it has something to show."""
        return self._opened(selection, str(value)) if field == "view" else self.choose(selection, field, value)

    def choose(self, selection: Selection, field: str, value: object) -> Selection:
        """The selection after a click that sets a field; InputError when there is no such field or value.

        Besides the fields: "square", the place of the photograph's square in per cent; "place", a layer or a feature of
        a model written starter|block_07 or starter|block_07:12; "feature", a latent written block_07:12 or "random";
        "keep", a feature to put on the list or take off it; "mark", the same for those in colours, written patch:12;
        "add", a feature of the layer by number or word; "turned", a feature to turn and look at, written 841~1;
        "preset", a photograph, a layer, a concept, another one and where the dial stands, written
        photos/farm/dog|block_12|n02121620|n02084071|2; and "link", a whole query string.
        """
        if field == "link":
            return self._link(selection, dict(parse_qsl(str(value).removeprefix("?"), keep_blank_values=True)))
        if field not in _CHOOSERS:
            raise InputError(f"a choice of {str(field)[:40]!r}", f"one of {', '.join(_CHOOSERS)}")
        return _CHOOSERS[field](self, selection, str(value))

    def from_query(self, query: Mapping[str, str]) -> tuple[Selection, list[str]]:
        """The selection a link describes, and a sentence for each part of it that this app does not have."""
        selection, problems = self.first(), []
        for field in _CHOOSERS:
            if field in query:
                try:
                    selection = self.choose(selection, field, query[field])
                except HsaeError as error:
                    problems.append(brief(error))
        return selection, problems

    def _link(self, selection: Selection, query: Mapping[str, str]) -> Selection:
        """What a link of this page's own history describes: one that names no photograph keeps the visitor's own."""
        linked = self.from_query(query)[0]
        own = "image" not in query and selection.image.startswith(UPLOAD)
        return replace(linked, image=selection.image) if own else linked

    def query(self, selection: Selection) -> str:
        """The query string that restores a selection; an upload stays out of it, since no other visitor has it."""
        return "?" + urlencode(dict(self._stated(selection)))

    def _stated(self, selection: Selection) -> Iterator[tuple[str, object]]:
        first = self.first()
        for field, value in asdict(selection).items():
            private = field == "image" and str(value).startswith(UPLOAD)
            implied = field not in ("layer", "view") and value == getattr(first, field)
            if value is not None and not private and not implied:
                yield field, value

    def _model(self, selection: Selection, value: str) -> Selection:
        model = self.models[_one_of("model", value, tuple(self.models))]
        layer = selection.layer if selection.layer in model.artifact.layers else model.best_layer
        fresh = replace(selection, model=value, layer=layer, latent=None, concept="", less="", method="", edit="")
        return replace(fresh, patches="", marks="", pair="", kept="")

    def _layer(self, selection: Selection, value: str) -> Selection:
        layers = self.models[selection.model].artifact.layers
        return replace(selection, layer=_one_of("layer", value, layers), latent=None, edit="", marks="", pair="")

    def _place(self, selection: Selection, value: str) -> Selection:
        model, _, place = value.partition("|")
        go = self._feature if ":" in place else self._layer
        return go(self._model(selection, model), place)

    def _latent(self, selection: Selection, value: str) -> Selection:
        n = len(self.models[selection.model].latents(selection.layer))
        if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) < n):
            raise InputError(f"feature {value[:40]!r}", f"a number from 0 to {n - 1}")
        view = selection.view if selection.view in _KEEPS_VIEW else "feature"
        return replace(selection, latent=int(value), view=view)

    def _feature(self, selection: Selection, value: str) -> Selection:
        model = self.models[selection.model]
        if value == RANDOM:
            value = write_feature(random.choice(model.living))
        layer, latent = read_feature(value, model.sizes)
        return self._latent(self._layer(selection, layer), str(latent))

    def _kept(self, selection: Selection, value: str) -> Selection:
        read_kept(value, self.models[selection.model].sizes)
        return replace(selection, kept=value)

    def _keep(self, selection: Selection, value: str) -> Selection:
        return replace(selection, kept=toggled(selection.kept, value, self.models[selection.model].sizes))

    def _marks(self, selection: Selection, value: str) -> Selection:
        read_kept(value, self.models[selection.model].markable(selection.layer), MARKS)
        return replace(selection, marks=value)

    def _mark(self, selection: Selection, value: str) -> Selection:
        sizes = self.models[selection.model].markable(selection.layer)
        return replace(selection, marks=toggled(selection.marks, value, sizes, MARKS))

    def _image(self, selection: Selection, value: str) -> Selection:
        photo, _ = split_key(value)
        if photo and photo not in starter_keys() and photo not in self.photos:
            raise InputError(f"photo {value[:80]!r}", "one of the starter photographs", "Pick one on the left.")
        return replace(selection, image=value)

    def _concept(self, selection: Selection, value: str) -> Selection:
        if value == SURPRISE:
            value = random.choice([node for _, node in self.models[selection.model].concepts] or [""])
        value = self._node(selection, value)
        less = "" if selection.less == value else selection.less
        return replace(selection, concept=value, less=less, edit="" if selection.view == "steer" else selection.edit)

    def _less(self, selection: Selection, value: str) -> Selection:
        value = self._node(selection, value)
        if value and value == selection.concept:
            raise InputError("less of what there is to be more of", "another concept, or nothing else")
        return replace(selection, less=value, edit="" if selection.view == "steer" else selection.edit)

    def _node(self, selection: Selection, value: str) -> str:
        """A concept of the model, or none."""
        if value and value not in {node for _, node in self.models[selection.model].concepts}:
            raise InputError(f"concept {value[:40]!r}", "a WordNet id above some of the model's classes")
        return value

    def _square(self, selection: Selection, value: str) -> Selection:
        return self._image(selection, placed(selection.image, int(_one_of("square", value, tuple(map(str, PLACES))))))

    def _view(self, selection: Selection, value: str) -> Selection:
        return replace(selection, view=_one_of("view", value, VIEWS))

    def _opened(self, selection: Selection, value: str) -> Selection:
        """The view as a click opens it: what turns features goes to the layer where that works."""
        model = self.models[selection.model]
        chosen = selection.view == "steer" or selection.edit or selection.latent is not None
        if value != "steer" or chosen or not model.has_classes:
            return self._view(selection, value)
        try:
            concept = concept_of(Desk(self.models, self.photos), selection)
        except HsaeError:  # without a backbone nothing can be turned
            return self._view(selection, value)
        return self._view(self._layer(selection, opening_layer(model, concept)), value)

    def _method(self, selection: Selection, value: str) -> Selection:
        return replace(selection, method=_one_of("method", value, tuple(METHODS)))

    def _edit(self, selection: Selection, value: str) -> Selection:
        amounts = read_edit(value, len(self.models[selection.model].latents(selection.layer)))
        return replace(selection, edit=write_edit(amounts))

    def _turned(self, selection: Selection, value: str) -> Selection:
        """Turn one feature, and look at that: written 841~1."""
        edited = replace(self._edit(selection, value), scope="", shows="", view="steer")
        return self._latent(edited, value.partition("~")[0])

    def _add(self, selection: Selection, value: str) -> Selection:
        """A feature of the layer by number or word."""
        latent = first_found(self.models[selection.model], selection.layer, value)
        if latent is None:
            do = "Try a number, or a broader word such as animal."
            raise InputError(f"No feature of layer {selection.layer} answers {value[:40]!r}", do=do)
        return self._latent(selection, str(latent))

    def _scope(self, selection: Selection, value: str) -> Selection:
        return replace(selection, scope=_one_of("scope", value, SCOPES))

    def _patches(self, selection: Selection, value: str) -> Selection:
        read_patches(value)
        return replace(selection, patches=value)

    def _shows(self, selection: Selection, value: str) -> Selection:
        return replace(selection, shows=_one_of("part of the effect", value, SHOWS))

    def _pair(self, selection: Selection, value: str) -> Selection:
        reader, (a, _, b) = self.models[selection.model].comparison, value.partition(":")
        if reader is None or a not in reader.layers[0] or b not in reader.layers[1] or a not in reader.sizes:
            raise InputError(f"pair of layers {value[:80]!r}", "a layer of each compared model, joined by :")
        return replace(selection, pair=value, view="compare")

    def _preset(self, selection: Selection, value: str) -> Selection:
        image, layer, concept, less, amount = (*value.split("|"), *[""] * 5)[:5]
        steering = replace(selection, scope="", shows="", view="steer", less="")
        selection = self._layer(self._image(steering, image), layer)
        selection = self._less(self._concept(selection, concept), less)
        return replace(selection, edit=dialled(Desk(self.models, self.photos), selection, [_number(amount)]))


# In the order in which a link is read: a layer belongs to a model, a latent to a layer; some choices open a view.
_CHOOSERS = {
    "model": Choices._model,
    "layer": Choices._layer,
    "place": Choices._place,
    "latent": Choices._latent,
    "feature": Choices._feature,
    "kept": Choices._kept,
    "keep": Choices._keep,
    "image": Choices._image,
    "concept": Choices._concept,
    "less": Choices._less,
    "square": Choices._square,
    "method": Choices._method,
    "edit": Choices._edit,
    "scope": Choices._scope,
    "patches": Choices._patches,
    "marks": Choices._marks,
    "mark": Choices._mark,
    "shows": Choices._shows,
    "pair": Choices._pair,
    "turned": Choices._turned,
    "add": Choices._add,
    "preset": Choices._preset,
    "view": Choices._view,
}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"amount {text[:40]!r}", "a number") from None


def _one_of(what: str, value: str, known: tuple[Known, ...]) -> Known:
    for choice in known:
        if choice == value:
            return choice
    raise InputError(f"{what} {value[:80]!r}", f"one of {', '.join(known)}")

"""Edits: what to change about which latents, as data that can be saved, shared and replayed.

z'_j per mode, never below 0 because latents never are; ref_j is p999, its 99.9th percentile when positive:
    add    max(0, z_j + amount * ref_j)      0 leaves it unchanged
    scale  max(0, z_j * (1 + amount))        0 leaves it unchanged, -1 turns it off, 1 doubles it
    set    amount * ref_j                    amount >= 0
    off    0
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args

from hsae.errors import InputError

SCHEMA = 1
MAX_OPS = 64
MAX_AMOUNT = 100.0
MAX_PATCHES = 4096

Mode = Literal["add", "scale", "set", "off"]
NAMED_SCOPES: tuple[Literal["cls", "patches", "all"], ...] = ("cls", "patches", "all")
Scope = Literal["cls", "patches", "all"] | tuple[int, ...]
"""Tokens an edit touches: class token, every patch, every token, or the patches with those indices (row by row)."""


@dataclass(frozen=True)
class Op:
    """One change of one latent."""

    latent: int
    mode: Mode
    amount: float = 0.0

    def __post_init__(self) -> None:
        if not _is_index(self.latent):
            raise InputError(f"latent {self.latent!r}", "a whole number, 0 or more")
        if self.mode not in get_args(Mode):
            raise InputError(f"mode {self.mode!r}", f"one of {', '.join(get_args(Mode))}")
        if isinstance(self.amount, bool) or not isinstance(self.amount, Real) or not abs(self.amount) <= MAX_AMOUNT:
            raise InputError(f"amount {self.amount!r}", f"a number from -{MAX_AMOUNT:g} to {MAX_AMOUNT:g}")
        if self.mode == "set" and self.amount < 0:
            raise InputError(f"set to {self.amount!r}", "0 or more", "Latents are never negative.")
        if self.mode == "off" and self.amount != 0:
            raise InputError(f"off with amount {self.amount!r}", "no amount", "Use set or scale for a strength.")
        # numpy's numbers, as in a table of latents, cannot be written as JSON.
        object.__setattr__(self, "latent", int(self.latent))
        object.__setattr__(self, "amount", float(self.amount))

    @property
    def neutral(self) -> bool:
        """Whether it leaves every latent as it is."""
        return self.mode in ("add", "scale") and self.amount == 0


@dataclass(frozen=True)
class Edit:
    """Changes of latents at one layer, and optionally further edits at other layers (`then`).

    `ops` may be given as dicts with the fields of `Op`; each latent at most once. Raises InputError for anything else.
    """

    layer: str
    ops: tuple[Op, ...]
    """At most 64 over all steps."""
    scope: Scope = "cls"
    artifact: str | None = None
    """Id of the artifact whose latents are meant."""
    sha: str | None = None
    """Its exact version: `Artifact.sha256`, or the first 7 or more digits of it."""
    following: Edit | None = None

    def __post_init__(self) -> None:
        _require_name("layer", self.layer)
        object.__setattr__(self, "ops", _check_ops(self.ops))
        object.__setattr__(self, "scope", _check_scope(self.scope))
        if sum(len(step.ops) for step in self.steps()) > MAX_OPS:
            raise InputError("an edit with too many changes", f"{MAX_OPS} or fewer")
        if self.artifact is not None:
            _require_name("artifact", self.artifact)
        if self.sha is not None and not (isinstance(self.sha, str) and re.fullmatch("[0-9a-f]{7,64}", self.sha)):
            raise InputError(f"sha {self.sha!r}", "7 to 64 hex digits")
        other = self.following or self
        if (other.artifact, other.sha) != (self.artifact, self.sha):
            raise InputError(
                f"edits of {self.artifact} {self.sha} and {other.artifact} {other.sha}",
                "edits of one artifact and version",
            )

    def steps(self) -> Iterator[Edit]:
        """This edit and those that follow. Layers are edited in the model's order, steps of one layer in this one."""
        step: Edit | None = self
        while step is not None:
            yield step
            step = step.following

    def then(self, other: Edit) -> Edit:
        """This edit followed by another one, usually at another layer; both must belong to the same artifact."""
        return replace(self, following=other if self.following is None else self.following.then(other))

    def of(self, artifact: str, sha: str | None) -> Edit:
        """The same edit, marked as one of the latents of that artifact and version."""
        following = self.following and self.following.of(artifact, sha)
        # Replaced together: an edit and the one that follows may never differ in their artifact.
        return replace(self, artifact=artifact, sha=sha, following=following)

    def to_python(self, image: str = "animals/abalone") -> str:
        """Three lines of Python that repeat the edit on a photograph; they end with its `result`.

        image: an image file, or the key of a starter photograph. An edit without artifact is one of the starter's.
        """
        photo = f"next(s.image for s in hsae.load_samples('starter') if s.key == {image!r})"
        if Path(image).suffix:
            photo = f"hsae.open_image({image!r})"
        return (
            "import hsae\n"
            f"session = hsae.Session(hsae.Artifact.load({self.artifact or 'starter'!r})).set_image({photo})\n"
            f"result = session.steer(hsae.Edit.from_json({self.to_json()!r}))\n"
        )

    def to_json(self) -> str:
        """`{"schema", "artifact", "sha", "steps": [{"layer", "scope", "ops": [{"latent", "mode", "amount"}]}]}`."""
        steps = [{"layer": s.layer, "scope": s.scope, "ops": [asdict(op) for op in s.ops]} for s in self.steps()]
        return json.dumps({"schema": SCHEMA, "artifact": self.artifact, "sha": self.sha, "steps": steps})

    @classmethod
    def from_json(cls, text: str) -> Edit:
        """The inverse of `to_json`; InputError for anything that is not exactly such a document."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"an edit that is not JSON: {error}", "the text of Edit.to_json") from error
        document = _require_keys("edit", document, {"schema", "artifact", "sha", "steps"})
        if type(document["schema"]) is not int or document["schema"] != SCHEMA:
            raise InputError(f"an edit of schema {document['schema']!r}", f"{SCHEMA}", "Export the edit again.")
        steps = _as_list("steps", document["steps"], MAX_OPS)
        if not steps:
            raise InputError("an edit without steps", f"1 to {MAX_OPS}")
        *before, last = [_require_keys("step", step, {"layer", "scope", "ops"}) for step in steps]
        chain = cls(**last, artifact=document["artifact"], sha=document["sha"])
        for step in reversed(before):
            chain = cls(**step, artifact=document["artifact"], sha=document["sha"], following=chain)
        return chain


def _check_ops(ops: Any) -> tuple[Op, ...]:
    ops = _as_list("ops", ops, MAX_OPS)
    ops = tuple(op if isinstance(op, Op) else _as_op(op) for op in ops)
    latents = [op.latent for op in ops]
    twice = sorted({latent for latent in latents if latents.count(latent) > 1})
    if twice:
        raise InputError(f"latents {twice} more than once in one edit", "one change per latent")
    return ops


def _as_op(op: Any) -> Op:
    names = {field.name for field in fields(Op)}
    if not isinstance(op, Mapping) or not {"latent", "mode"} <= set(op) <= names:
        raise InputError(f"op {op!r}", 'such as {"latent": 7, "mode": "add", "amount": 1.0}')
    return Op(**op)


def _check_scope(scope: Any) -> Scope:
    if isinstance(scope, str):
        for name in NAMED_SCOPES:
            if scope == name:
                return name
        raise InputError(f"scope {scope!r}", f"{', '.join(NAMED_SCOPES)} or a list of patch indices")
    patches = _as_list("scope", scope, MAX_PATCHES)
    if not patches or not all(map(_is_index, patches)) or len(set(patches)) != len(patches):
        raise InputError(f"scope {patches[:8]}", "at least one patch index, all different, 0 or more")
    return tuple(map(int, patches))


def _is_index(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _as_list(what: str, value: Any, longest: int) -> list[Any]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InputError(f"{what} {value!r}", "a list")
    items = list(value)
    if len(items) > longest:
        raise InputError(f"{len(items)} {what}", f"{longest} or fewer")
    return items


def _require_keys(what: str, value: Any, keys: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        got = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise InputError(f"{what} with {got}", f"an object with {', '.join(sorted(keys))}")
    return value


def _require_name(what: str, name: Any) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= 200:
        raise InputError(f"{what} {name!r}", "a name of 1 to 200 letters")

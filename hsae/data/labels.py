"""From the class names a data set uses to WordNet ids."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hsae.data.known_classes import KNOWN, known_map, recognised
from hsae.errors import InputError, LabelError

LabelMap = Mapping[str, str] | Path | str | None
"""{name: wnid}, a CSV or JSON file of it, or the name of a data set in `KNOWN`."""

_WNID = re.compile(r"n\d{8}")
_GIVE_A_MAP = (
    "Name the classes by WordNet id, or give `label_map`: a CSV file with the columns name,wnid, "
    f"a JSON file {{name: wnid}}, or {' or '.join(KNOWN)}"
)
_NAMED = 20  # unknown names in an error


def label_rows(
    names: Sequence[str], numbers: Iterable[int | None], label_map: LabelMap, source: str
) -> tuple[tuple[str, ...], list[int | None]]:
    """Sorted wnids of the class `names`, and for each row's number (an index into `names`) its index into them.

    None or a negative number means no label. Several names may share a wnid. Raises LabelError for unknown names.
    """
    wnids = _to_wnids(names, label_map, source)
    classes = tuple(sorted(set(wnids)))
    position = {wnid: index for index, wnid in enumerate(classes)}
    labels = [None if number is None or number < 0 else number for number in numbers]
    if any(label is not None and label >= len(names) for label in labels):
        raise LabelError(f"{source} has labels beyond its class names", f"labels below {len(names)}")
    return classes, [None if label is None else position[wnids[label]] for label in labels]


def moved(classes: tuple[str, ...], wnids: Mapping[str, str | None]) -> tuple[tuple[str, ...], dict[int, int | None]]:
    """The sorted new classes, and for each of `classes` the place of its new class among them, or None for no label.

    wnids: {class: new class or None}. Raises InputError unless every class is there.
    """
    missing = sorted(set(classes) - set(wnids))
    if missing:
        raise InputError(f"no new class for {', '.join(missing)}", "one for every class, or None")
    new_classes = tuple(sorted({new for new in wnids.values() if new is not None}))
    position = {wnid: index for index, wnid in enumerate(new_classes)}
    return new_classes, {old: position.get(wnids[wnid]) for old, wnid in enumerate(classes)}


def _to_wnids(names: Sequence[str], label_map: LabelMap, source: str) -> list[str]:
    known = recognised(names) if label_map is None or label_map in KNOWN else None
    if known is not None:
        return known
    mapping = read_label_map(label_map)
    wnids = [mapping.get(name, name) for name in names]
    unknown = sorted(name for name, wnid in zip(names, wnids, strict=True) if not _WNID.fullmatch(wnid))
    if unknown:
        named = ", ".join(map(repr, unknown[:_NAMED])) + (" ..." if len(unknown) > _NAMED else "")
        got = f"{source} has {len(unknown)} unknown class(es): {named}"
        raise LabelError(got, "WordNet noun ids such as n02084071", _GIVE_A_MAP)
    return wnids


def read_label_map(source: LabelMap) -> dict[str, str]:
    """Wnids by name; LabelError for a file that cannot be read, other ids, or names with two of them."""
    if isinstance(source, str) and source in KNOWN:
        return known_map(source)
    pairs = list(source.items()) if isinstance(source, Mapping) else _read_pairs(source)
    wrong = [f"{name!r}: {wnid!r}" for name, wnid in pairs if not _WNID.fullmatch(str(wnid))]
    if wrong:
        raise LabelError(f"the label map gives {', '.join(wrong)}", "WordNet noun ids such as n02084071")
    mapping = dict(pairs)
    twice = sorted({repr(name) for name, wnid in pairs if mapping[name] != wnid})
    if twice:
        raise LabelError(f"the label map names {', '.join(twice)} twice", "one WordNet id a name")
    return mapping


def _read_pairs(source: Path | str | None) -> list[tuple[str, str]]:
    if source is None:
        return []
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return [(str(name), str(wnid)) for name, wnid in json.loads(text, object_pairs_hook=list)]
        lines = [line for line in csv.reader(text.splitlines()) if line]
        return [(name, wnid) for name, wnid in lines[lines[:1] == [["name", "wnid"]] :]]
    except (OSError, ValueError, TypeError) as error:
        raise LabelError(f"the label map {path} cannot be read: {error}", "a label map", _GIVE_A_MAP) from error

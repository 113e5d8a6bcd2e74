"""From the class names a data set uses to WordNet ids.

A label map is a CSV file (name,wnid), a JSON file {name: wnid}, the class index of Keras
({"0": ["n01440764", "tench"]}) or of Kaggle (lines of a wnid and its names).
"""

from __future__ import annotations

import csv
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hsae.data.known_classes import KNOWN, described, known_map, meanings, recognised
from hsae.errors import InputError, LabelError

LabelMap = Mapping[str, str | None] | Path | str | None
"""{name: wnid, or None for no label}, a file of it, the name of a data set in `KNOWN`, or `NO_LABELS`."""
NO_LABELS = "none"
"""The label map that takes images without labels, whatever their source says of classes."""

_log = logging.getLogger("hsae.data")

_WNID = re.compile(r"n\d{8}")
_WNID_FIRST = re.compile(r"(n\d{8})[-_ ].*")  # n02085620-Chihuahua
_INDEX_LINE = re.compile(r"(n\d{8})[ \t]+(.+)")  # n01440764 tench, Tinca tinca
GIVE_A_MAP = (
    "Name the classes by WordNet id, or give `label_map`: a CSV file with the columns name,wnid (nothing for a wnid: "
    f"no label), a JSON file {{name: wnid}}, {', '.join(KNOWN)}, or {NO_LABELS} to take all images without labels"
)
_NAMED = 20  # names in an error or a message


def label_rows(
    names: Sequence[str], numbers: Iterable[int | None], label_map: LabelMap, source: str
) -> tuple[tuple[str, ...], list[int | None]]:
    """Sorted wnids of the class `names`, and for each row's number (an index into `names`) its index into them.

    None or a negative number means no label. Several names may share a wnid, or stand for no label. Raises LabelError
    that lists all unknown and all ambiguous names.
    """
    wnids = _to_wnids(names, label_map, source)
    classes = tuple(sorted({wnid for wnid in wnids if wnid is not None}))
    position: dict[str | None, int] = {wnid: index for index, wnid in enumerate(classes)}
    labels = [None if number is None or number < 0 else number for number in numbers]
    if any(label is not None and label >= len(names) for label in labels):
        raise LabelError(f"{source} has labels beyond its class names", f"labels below {len(names)}")
    return classes, [None if label is None else position.get(wnids[label]) for label in labels]


def any_known(names: Iterable[str]) -> bool:
    """Whether any of the names could be a class without a label map: a wnid, or a name of a known data set."""
    return any(_wnid_in(name) or meanings(name) for name in names)


def moved(classes: tuple[str, ...], wnids: Mapping[str, str | None]) -> tuple[tuple[str, ...], dict[int, int | None]]:
    """The sorted new classes, and for each of `classes` the place of its new class among them, or None for no label.

    wnids: {class: new class or None}. Raises InputError unless every class is there.
    """
    missing = sorted(set(classes) - set(wnids))
    if missing:
        raise InputError(f"no new class for {', '.join(missing)}", "one for every class, or None")
    new_classes = tuple(sorted({new for new in wnids.values() if new is not None}))
    position: dict[str | None, int] = {wnid: index for index, wnid in enumerate(new_classes)}
    return new_classes, {old: position.get(wnids[wnid]) for old, wnid in enumerate(classes)}


def placed(classes: tuple[str, ...], within: tuple[str, ...]) -> list[int]:
    """The place of each of `classes` among more classes; InputError when one is missing there."""
    missing = sorted(set(classes) - set(within))
    if missing:
        raise InputError(f"a list of classes without {listed(missing)}", "one that holds them all")
    position = {wnid: index for index, wnid in enumerate(within)}
    return [position[wnid] for wnid in classes]


def _to_wnids(names: Sequence[str], label_map: LabelMap, source: str) -> list[str | None]:
    """The wnid of every name, or None for no label."""
    if label_map == NO_LABELS:
        return [None] * len(names)
    known = recognised(names) if label_map is None or label_map in KNOWN else None
    if known is not None:
        return list(known)
    mapping = read_label_map(label_map)
    guesses = {} if label_map is not None and label_map not in KNOWN else _guesses(names, mapping, label_map)
    wnids = [mapping[name] if name in mapping else _wnid_in(name) or _only(guesses.get(name, ())) for name in names]
    _check_named(names, wnids, mapping, guesses, source)
    taken = [f"{name!r} = {wnid}" for name, wnid in zip(names, wnids, strict=True) if name in guesses]
    if taken:
        _log.info("%s: took %d class name(s) for those of known data sets: %s", source, len(taken), listed(taken))
    return wnids


def _guesses(
    names: Sequence[str], mapping: Mapping[str, str | None], label_map: LabelMap
) -> dict[str, tuple[str, ...]]:
    """What names that neither are wnids nor in the map may stand for in the known data sets."""
    data_sets = KNOWN if label_map is None else (str(label_map),)
    candidates = {name: meanings(name, data_sets) for name in names if name not in mapping and not _wnid_in(name)}
    return {name: wnids for name, wnids in candidates.items() if wnids}


def _check_named(
    names: Sequence[str],
    wnids: Sequence[str | None],
    mapping: Mapping[str, str | None],
    guesses: Mapping[str, tuple[str, ...]],
    source: str,
) -> None:
    """LabelError that lists every name without a meaning, and every one with several."""
    nameless = [name for name, wnid in zip(names, wnids, strict=True) if wnid is None and name not in mapping]
    unknown = sorted(repr(name) for name in nameless if name not in guesses)
    ambiguous = [f"{name!r} is {' or '.join(map(described, guesses[name]))}" for name in nameless if name in guesses]
    problems = [f"{len(unknown)} unknown class(es): {listed(unknown)}"] if unknown else []
    problems += [f"{len(ambiguous)} ambiguous class(es): {listed(ambiguous)}"] if ambiguous else []
    if problems:
        got = f"{source} has {' and '.join(problems)}"
        raise LabelError(got, "WordNet noun ids such as n02084071, or names of known data sets", GIVE_A_MAP)


def _wnid_in(name: str) -> str | None:
    """The wnid that a name is, or begins with: n02085620, n02085620-Chihuahua."""
    match = _WNID_FIRST.fullmatch(name)
    return match[1] if match else name if _WNID.fullmatch(name) else None


def _only(wnids: Sequence[str]) -> str | None:
    return wnids[0] if len(wnids) == 1 else None


def listed(texts: Sequence[str]) -> str:
    """Up to 20 of the texts, for a message."""
    return ", ".join(texts[:_NAMED]) + (" ..." if len(texts) > _NAMED else "")


def read_label_map(source: LabelMap) -> dict[str, str | None]:
    """Wnids by name, None for no label; LabelError for a file that cannot be read, other ids, or names with two."""
    if isinstance(source, str) and source in KNOWN:
        return dict(known_map(source))
    pairs = list(source.items()) if isinstance(source, Mapping) else _read_pairs(source)
    wrong = [f"{name!r}: {wnid!r}" for name, wnid in pairs if wnid and not _WNID.fullmatch(str(wnid))]
    if wrong:
        raise LabelError(f"the label map gives {listed(wrong)}", "WordNet noun ids such as n02084071")
    mapping = {name: wnid or None for name, wnid in pairs}
    twice = sorted({repr(name) for name, wnid in pairs if mapping[name] != (wnid or None)})
    if twice:
        raise LabelError(f"the label map names {listed(twice)} twice", "one WordNet id a name")
    return mapping


def _read_pairs(source: Path | str | None) -> list[tuple[str, str | None]]:
    if source is None:
        return []
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            return _json_pairs(json.loads(text, object_pairs_hook=list))
        lines = text.splitlines()
        index = [_INDEX_LINE.fullmatch(line) for line in lines if line]
        if index and all(index):
            return _index_pairs([(line[1], line[2]) for line in index if line])
        rows = [line for line in csv.reader(lines) if line]
        return [(name, wnid.strip()) for name, wnid in rows[rows[:1] == [["name", "wnid"]] :]]
    except (OSError, ValueError, TypeError) as error:
        raise LabelError(f"the label map {path} cannot be read: {error}", "a label map", GIVE_A_MAP) from error


def _json_pairs(entries: list[tuple[str, Any]]) -> list[tuple[str, str | None]]:
    """{name: wnid}, or an index of Keras: {number: [wnid, name]}."""
    if entries and all(isinstance(value, list) and len(value) == 2 for _, value in entries):
        return _index_pairs([(wnid, name) for _, (wnid, name) in entries], [number for number, _ in entries])
    return [(str(name), None if wnid is None else str(wnid)) for name, wnid in entries]


def _index_pairs(classes: Sequence[tuple[str, str]], numbers: Sequence[str] = ()) -> list[tuple[str, str | None]]:
    """An index of (wnid, name) by wnid, by number where there are any, and by name where only one class has it."""
    count = Counter(name for _, name in classes)
    by_name = [(name, wnid) for wnid, name in classes if count[name] == 1]
    by_number = [(number, wnid) for number, (wnid, _) in zip(numbers, classes, strict=False)]
    return [*((wnid, wnid) for wnid, _ in classes), *by_number, *by_name]

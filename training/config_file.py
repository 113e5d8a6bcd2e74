"""Settings from YAML files, written out as flags."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import get_args, get_type_hints

import yaml

from hsae.errors import InputError
from training.flags import nearest

CONFIG = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
CONFIG.add_argument(
    "--config",
    action="append",
    metavar="FILE",
    default=[],
    help="YAML file of settings, `name: value` on each line; a later file wins over an earlier one, and flags over all",
)


def expand(arguments: Sequence[str], configs: Sequence[type]) -> list[str]:
    """The arguments with every `--config FILE` written out as flags in front, so that the other flags win.

    A value may be a list, which becomes names separated by commas, or null where a setting may be left out: then it is
    as if no earlier file had given it. InputError for files that cannot be read and names that no dataclass of
    `configs` has, all of them at once.
    """
    try:
        given, flags = CONFIG.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise InputError(f"--config: {error.message}", "--config training/configs/NAME.yaml") from error
    hints = {name: hint for config in configs for name, hint in _settings(config)}
    settings: dict[str, str | None] = {}
    problems: list[str] = []
    for path in map(Path, given.config):
        for name, node in _lines(path):
            problem = _problem(name, node, hints)
            if problem:
                problems.append(f"{path}, line {node.start_mark.line + 1}: {problem}")
            else:
                settings.pop(name, None)  # the last one shall come last: `run` and `run_dir` are one setting
                settings[name] = _text(node)
    if problems:
        raise InputError("; ".join(problems), "lines of the form `name: value`", "See training/configs.")
    return [*(part for name, value in settings.items() if value is not None for part in _flag(name, value)), *flags]


def _settings(config: type) -> Iterator[tuple[str, object]]:
    """Every name of a setting, the other ones it may have among them, with its type."""
    hints = get_type_hints(config)
    for field in fields(config):
        for name in (field.name, *(alias.removeprefix("--") for alias in field.metadata.get("aliases", ()))):
            yield name, hints[field.name]


def _lines(path: Path) -> Iterator[tuple[str, yaml.Node]]:
    """Names and values as they are written: `push_tag: 1.10` is that text and no number."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read: {reason}", "a YAML file", "See training/configs.") from error
    if not isinstance(root, yaml.MappingNode):
        got = "nothing" if root is None else _kind(root)
        raise InputError(f"{path} holds {got}", "lines of the form `name: value`", "See training/configs.")
    names = [str(key.value) for key, _ in root.value]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path} gives {', '.join(twice)} twice", "each setting once")
    yield from ((name, value) for name, (_, value) in zip(names, root.value, strict=True))


def _problem(name: str, node: yaml.Node, hints: dict[str, object]) -> str | None:
    """What is wrong with a line, if anything."""
    if name not in hints:
        return f"unknown setting {name}{nearest(name, hints)}"
    if isinstance(node, yaml.MappingNode) or any(isinstance(item, yaml.CollectionNode) for item in _items(node)):
        return f"{name} is {_kind(node)} of more than plain values"
    if isinstance(node, yaml.SequenceNode) and (not node.value or any(map(_is_null, node.value))):
        return f"{name} is a list of nothing, or with null in it"
    if _is_null(node) and NoneType not in get_args(hints[name]):
        return f"{name} is null, which it cannot be"
    return None


def _kind(node: yaml.Node) -> str:
    kinds = {yaml.ScalarNode: "one value", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}
    return kinds[type(node)]


def _text(node: yaml.Node) -> str | None:
    return None if _is_null(node) else ",".join(item.value for item in _items(node))


def _items(node: yaml.Node) -> list[yaml.Node]:
    return node.value if isinstance(node, yaml.SequenceNode) else [node]


def _is_null(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"


def _flag(name: str, value: str) -> list[str]:
    return [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]

"""Flags of config dataclasses: the string under a field is its documentation, and every mistake is told at once."""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from transformers import HfArgumentParser

from hsae.errors import InputError

_NUMBER = re.compile(r"-(\d|\.\d|inf$)")


class FlagParser(HfArgumentParser):
    """A flag for every field of the dataclasses, as `parse` reads them into one object of each."""

    def __init__(self, configs: Sequence[Any], **options: Any) -> None:
        self.problems: list[str] = []
        self.known: set[str] = set()
        self._documented = {name: text for config in configs for name, text in documentation(config).items()}
        super().__init__(configs, formatter_class=argparse.HelpFormatter, allow_abbrev=False, **options)

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """As argparse does, with what the dataclass says of the field, and values that are checked all at once."""
        field = names[0].removeprefix("--")
        if field in self._documented:
            options["help"] = f"{self._documented[field]} ({_default(options)})".replace("%", "%%")
            options["type"] = self._noting(names[0], options["type"], options.get("choices"), options.get("default"))
        action = super().add_argument(*names, **options)
        self.known.update(action.option_strings)
        return action

    def parse(self, flags: Sequence[str]) -> tuple[Any, ...]:
        """One object of each dataclass; InputError for unknown flags and impossible values, all of them at once."""
        unknown = [flag.split("=")[0] for flag in flags if flag.startswith("-") and not _NUMBER.match(flag)]
        self.problems = [
            f"unknown flag {flag}{nearest(flag, self.known)}" for flag in unknown if flag not in self.known
        ]
        self._refuse()
        namespace, words = self.parse_known_args(flags)
        self.problems += [f"{word!r}, which belongs to no flag" for word in words]
        self._refuse()
        return self.parse_dict(vars(namespace), allow_extra_keys=True)

    def error(self, message: str) -> Any:
        """What argparse finds, kept for `parse` to tell with the rest."""
        self.problems.append(message)

    def _refuse(self) -> None:
        if self.problems:
            raise InputError("; ".join(self.problems), "flags and values as --help lists them")

    def _noting(
        self, flag: str, convert: Callable[[str], Any], choices: Iterable[Any] | None, default: Any
    ) -> Callable[[str], Any]:
        """`convert` that notes a problem and gives the default in place of an error."""

        def converted(text: str) -> Any:
            try:
                value = os.path.expanduser(text) if convert is str else convert(text)
            except (ValueError, argparse.ArgumentTypeError):
                value, expected = None, getattr(convert, "__name__", "value").replace("string_to_bool", "true or false")
            else:
                expected = f"one of {', '.join(map(str, choices or ()))}"
                if choices is None or value in choices:
                    return value
            self.problems.append(f"{flag} {text!r}, expected {expected}")
            return default

        return converted


def documentation(config: type[Any]) -> dict[str, str]:
    """The string under each field of a dataclass, as one line, by the field's name; fields without one are left out."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(config))).body
    texts = {}
    for field, text in pairwise(getattr(definition, "body", [])):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            texts[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return texts


def nearest(name: str, names: Iterable[str]) -> str:
    """ " (nearest: NAME)" when one of the names is much like `name`, else ""."""
    like = difflib.get_close_matches(name, sorted(names), n=1)
    return f" (nearest: {like[0]})" if like else ""


def _default(options: dict[str, Any]) -> str:
    if options.get("required"):
        return "required"
    default = options.get("default")
    return f"default: {str(default).lower() if default in (None, False) else default}"

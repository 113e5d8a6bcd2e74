"""Which stages are done: a record beside each result says with what settings it was made, and its sha256."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsae.artifacts.files import sha256_of
from hsae.atomic import remove, write_json
from hsae.errors import HsaeError

log = logging.getLogger("hsae.training")


@dataclass(frozen=True)
class Record:
    """NAME.json beside a result NAME or NAME.safetensors: {"settings", "sha256"}."""

    result: Path
    settings: dict[str, Any]
    """What decides the result, as plain JSON or what becomes it."""
    digest: Callable[[Path], str] = sha256_of
    """sha256 of what the result holds; OSError or HsaeError when it cannot be had."""

    @property
    def path(self) -> Path:
        return self.result.with_suffix(".json")

    def done(self) -> bool:
        """Whether the result was made with these settings and still is what it was; says why it is made again."""
        if not self.path.exists():
            return False
        reason = self._reason()
        if reason is not None:
            log.warning("%s %s, and is made again", self.result, reason)
            return False
        log.info("%s is there already", self.result)
        return True

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Inside, the result is replaced: the record is gone before, and written after it ends well."""
        remove(self.path)
        yield
        write_json(self.path, {"settings": self.settings, "sha256": self.digest(self.result)})

    def _reason(self) -> str | None:
        """Why the result cannot be taken as it is, if so."""
        try:
            record = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            return f"has a record that cannot be read ({error})"
        if not isinstance(record, dict) or not {"settings", "sha256"} <= set(record):
            return "has a record without a sha256"
        if record["settings"] != json.loads(json.dumps(self.settings)):
            return "was made with other settings"
        if not self.result.exists():
            return "is missing"
        try:
            sha256 = self.digest(self.result)
        except (OSError, HsaeError) as error:
            return f"is damaged ({error})"
        return None if sha256 == record["sha256"] else "is damaged (its sha256 is not the one in its record)"

"""Which stages are done: a record beside each result says with what settings it was made."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

log = logging.getLogger("hsae.training")


def done(record: Path, settings: dict[str, Any]) -> bool:
    """Whether the stage that writes `record` last was finished with these settings."""
    if not record.is_file():
        return False
    if json.loads(record.read_text(encoding="utf-8")) == json.loads(json.dumps(settings)):
        log.info("%s is there already", record.stem)
        return True
    log.info("%s was made with other settings and is made again", record.stem)
    return False

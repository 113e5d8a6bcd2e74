"""Broken rows are skipped, named and counted; too many of them stop the run."""

from __future__ import annotations

import logging

from hsae.data.sample import Sample
from hsae.errors import ImageError, InputError

_log = logging.getLogger("hsae.data")

_TOLERATED, _TOLERATED_SHARE, _JUDGED_AFTER = 3, 0.01, 100  # broken rows, their share, rows read before judging


class BrokenRows:
    """The rows of a source met so far, each counted once however often it is read, and what broke some of them."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._met = bytearray()
        self._n_met = 0
        self._reasons: dict[int, str] = {}

    @property
    def reasons(self) -> list[str]:
        """Name and reason of every broken row met so far."""
        return list(self._reasons.values())

    def whole(self, row: int, outcome: Sample | ImageError) -> Sample | None:
        """Count what reading a row gave: the sample, or None for a broken one, which is logged.

        Raises InputError once, after 100 rows or more, over 3 of them and over 1 % of them were broken.
        """
        self._meet(row)
        if isinstance(outcome, ImageError) and row not in self._reasons:
            self._reasons[row] = str(outcome)
            _log.warning("skipped broken image %d of %s: %s", len(self._reasons), self._source, outcome)
        self._judge()
        return None if isinstance(outcome, ImageError) else outcome

    def _meet(self, row: int) -> None:
        self._met.extend(bytes(max(0, row + 1 - len(self._met))))
        self._n_met += not self._met[row]
        self._met[row] = True

    def _judge(self) -> None:
        tolerated = max(_TOLERATED, _TOLERATED_SHARE * self._n_met)
        if self._n_met < _JUDGED_AFTER or len(self._reasons) <= tolerated:
            return
        first = "".join(f"\n  {reason}" for reason in self.reasons[:10])
        got = f"{len(self._reasons)} of {self._n_met} images read from {self._source} are broken, the first ones:"
        raise InputError(f"{got}{first}\n", "at most 1 % broken images", "Repair or remove them.")

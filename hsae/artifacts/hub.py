"""The Hub as a source of artifacts: one file at a time, from the cache first, all from one commit."""

from __future__ import annotations

import re
from pathlib import Path

from hsae.artifacts.hub_errors import explained
from hsae.artifacts.index import INDEX
from hsae.backbones.hub import TIMEOUT
from hsae.errors import ArtifactError

REPO_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")


class HubFiles:
    """The files of `org/name` at a revision; the commit is settled once, so a push in between mixes nothing."""

    def __init__(self, repo_id: str, revision: str | None = None) -> None:
        self.repo_id, self.revision = repo_id, revision or "main"
        check_names(self.repo_id, self.revision)
        self.commit = self.revision if _COMMIT.fullmatch(self.revision) else self._latest_commit()

    def get(self, path: str) -> Path:
        """A local copy of the file, downloaded only when the cache lacks it."""
        return self._cached(path, self.commit) or self._fetch(path, self.commit)

    def _latest_commit(self) -> str:
        """Where a branch or tag points: as the Hub says, or, when it cannot be reached, as last seen."""
        if self._cached(INDEX, self.revision) is None:
            return self._fetch(INDEX, self.revision).parent.name
        return self._download(INDEX, self.revision).parent.name

    def _fetch(self, path: str, revision: str) -> Path:
        """Ask first whether the Hub answers: a download alone would try for half a minute."""
        from huggingface_hub import HfApi

        with explained(self.repo_id, self.revision, path):
            HfApi().model_info(self.repo_id, revision=revision, timeout=TIMEOUT)
        return self._download(path, revision)

    def _download(self, path: str, revision: str) -> Path:
        from huggingface_hub import hf_hub_download

        with explained(self.repo_id, self.revision, path):
            return Path(hf_hub_download(self.repo_id, path, revision=revision, etag_timeout=TIMEOUT))

    def _cached(self, path: str, revision: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(self.repo_id, path, revision=revision)
        return Path(cached) if isinstance(cached, str) else None


def check_names(repo_id: str, revision: str) -> None:
    """Raise ArtifactError unless both could be names on the Hub."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public there, but imported without `as`

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ArtifactError(f"{repo_id!r} is no name of a Hub model ({error})", "org/name") from error
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise ArtifactError(f"{revision!r:.80} is no revision", "a branch, tag or commit")

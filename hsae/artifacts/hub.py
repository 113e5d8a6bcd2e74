"""The Hub as a source of artifacts: one file at a time, from the cache first, all from one commit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hsae.artifacts.index import INDEX
from hsae.errors import ArtifactError

T = TypeVar("T")

REPO_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")
_TIMEOUT = 5.0  # seconds to wait for the Hub before the cache has to do


class HubFiles:
    """The files of `org/name` at a revision; the commit is settled once, so a push in between mixes nothing."""

    def __init__(self, repo_id: str, revision: str | None = None, *, endpoint: str | None = None) -> None:
        self.repo_id, self.revision, self._endpoint = repo_id, revision or "main", endpoint
        self._check_names()
        self.commit = self.revision if _COMMIT.fullmatch(self.revision) else self._latest_commit()

    def get(self, path: str) -> Path:
        """A local copy of the file, downloaded only when the cache lacks it."""
        return self._cached(path, self.commit) or self._fetch(path, self.commit)

    def _check_names(self) -> None:
        from huggingface_hub.utils import HFValidationError, validate_repo_id

        try:
            validate_repo_id(self.repo_id)
        except HFValidationError as error:
            raise ArtifactError(f"{self.repo_id!r} is no name of a Hub model ({error})", "org/name") from error
        if not _REVISION.fullmatch(self.revision) or ".." in self.revision:
            raise ArtifactError(f"{self.revision!r:.80} is no revision", "a branch, tag or commit")

    def _latest_commit(self) -> str:
        """Where a branch or tag points: as the Hub says, or, when it cannot be reached, as last seen."""
        if self._cached(INDEX, self.revision) is None:
            return self._fetch(INDEX, self.revision).parent.name
        return self._ask(INDEX, self._download, INDEX, self.revision).parent.name

    def _fetch(self, path: str, revision: str) -> Path:
        self._ask(path, self._probe, revision)  # a download alone would try for half a minute
        return self._ask(path, self._download, path, revision)

    def _probe(self, revision: str) -> None:
        from huggingface_hub import HfApi

        HfApi(endpoint=self._endpoint).model_info(self.repo_id, revision=revision, timeout=_TIMEOUT)

    def _download(self, path: str, revision: str) -> Path:
        from huggingface_hub import hf_hub_download

        found = hf_hub_download(self.repo_id, path, revision=revision, endpoint=self._endpoint, etag_timeout=_TIMEOUT)
        return Path(found)

    def _cached(self, path: str, revision: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo_id, path, revision=revision)
        return Path(found) if isinstance(found, str) else None

    def _ask(self, path: str, question: Callable[..., T], *arguments: Any) -> T:
        """Put a question to the Hub, and turn each way it can fail into its own ArtifactError."""
        from huggingface_hub import errors

        name, at = self.repo_id, f"{self.repo_id} at {self.revision}"
        try:
            return question(*arguments)
        except errors.GatedRepoError as error:
            do = f"Ask for it at https://huggingface.co/{name}, then log in: hf auth login"
            raise ArtifactError(f"{name} is gated", "access to it", do) from error
        except errors.RepositoryNotFoundError as error:
            do = "Check the name; when it is private, log in: hf auth login"
            raise ArtifactError(f"The Hub has no model {name}", "org/name", do) from error
        except errors.RevisionNotFoundError as error:
            do = f"See https://huggingface.co/{name}/commits/main"
            raise ArtifactError(f"{name} has no revision {self.revision}", "a branch, tag or commit", do) from error
        except errors.RemoteEntryNotFoundError as error:
            do = "Check the name and the revision"
            raise ArtifactError(f"{at} has no file {path}", "an hsae artifact", do) from error
        except (errors.HTTPError, OSError) as error:  # what is left: no connection, time out, a failing server
            do = 'Try again later, or load a local folder or "starter"'
            got = f"The Hub cannot be reached for {path} of {at} ({type(error).__name__}), and the cache lacks it"
            raise ArtifactError(got, "a connection, or a file downloaded before", do) from error

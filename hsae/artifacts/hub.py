"""The Hub as a source of artifacts: one file at a time, from the cache first, all from one commit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hsae.errors import ArtifactError

REPO_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT = 5.0  # seconds to learn a branch's commit before the cache has to do


class HubFiles:
    """The files of `org/name` at a revision; the commit is settled once, so a push in between mixes nothing."""

    def __init__(self, repo_id: str, revision: str | None = None, *, endpoint: str | None = None) -> None:
        self.repo_id, self.revision, self._endpoint = repo_id, revision or "main", endpoint
        self.commit = self._settle()

    def get(self, path: str) -> Path:
        """A local copy of the file, downloaded only when the cache lacks it."""
        return self._cached(path, self.commit) or Path(self._ask(path, self._download, path))

    def _settle(self) -> str:
        """The commit of the revision: as the Hub says, or, when it cannot be reached, as last seen."""
        if _COMMIT.fullmatch(self.revision):
            return self.revision
        try:
            return self._ask(None, self._latest)
        except _Unreachable as error:
            known = self._cached("hsae.json", self.revision)
            if known is None:
                raise error.with_traceback(None) from error.__cause__
            return known.parent.name

    def _latest(self) -> str:
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self._endpoint)
        return str(api.model_info(self.repo_id, revision=self.revision, timeout=_TIMEOUT).sha)

    def _download(self, path: str) -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(self.repo_id, path, revision=self.commit, endpoint=self._endpoint)

    def _cached(self, path: str, revision: str) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo_id, path, revision=revision)
        return Path(found) if isinstance(found, str) else None

    def _ask(self, path: str | None, question: Callable[..., str], *arguments: Any) -> str:
        """Put a question to the Hub, and turn each way it can fail into its own ArtifactError."""
        import httpx2
        from huggingface_hub import errors

        at = f"{self.repo_id} at {self.revision}"
        try:
            return question(*arguments)
        except errors.GatedRepoError as error:
            raise ArtifactError(
                f"{self.repo_id} is gated",
                "access to it",
                f"Ask for it at https://huggingface.co/{self.repo_id}, then log in: hf auth login",
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise ArtifactError(
                f"The Hub has no model {self.repo_id}",
                "org/name",
                "Check the name; for a private one log in: hf auth login",
            ) from error
        except errors.RevisionNotFoundError as error:
            raise ArtifactError(
                f"{self.repo_id} has no revision {self.revision}",
                "a branch, tag or commit",
                "See its history on the Hub",
            ) from error
        except errors.RemoteEntryNotFoundError as error:
            raise ArtifactError(
                f"{at} has no file {path}", "an hsae artifact", "Check the name and the revision"
            ) from error
        except (httpx2.HTTPError, ConnectionError, errors.LocalEntryNotFoundError, errors.FileMetadataError) as error:
            raise _Unreachable(
                f"The Hub cannot be reached for {at} ({type(error).__name__}), and the cache lacks it",
                "a connection, or an artifact that was loaded before",
                'Try again later, or load a local folder or "starter"',
            ) from error


class _Unreachable(ArtifactError):
    """No answer from the Hub; the cache may still do."""

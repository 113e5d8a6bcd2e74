"""Which commit of a Hub model to read, and whether the Hub answers: asked once, for all files."""

from __future__ import annotations

from typing import TypedDict

TIMEOUT = 5.0  # seconds to wait for the Hub before the cache has to do; its client would try for half a minute a file


class Source(TypedDict):
    """Where the files of a Hub model come from, as arguments of transformers."""

    revision: str
    """The commit that a branch or tag names now, or named when it was last seen."""
    local_files_only: bool
    """Whether the cache alone must do."""


def settled(repo_id: str, revision: str | None = None) -> Source:
    """The source of a model's files; what huggingface_hub raises for an unknown name, ConnectionError without any."""
    from huggingface_hub import HfApi, errors

    answers = hub_answers(repo_id, revision)
    try:
        commit = HfApi().resolve_revision(repo_id, revision=revision, local_files_only=not answers)
    except errors.RevisionResolutionError as error:
        raise ConnectionError("the Hub does not answer, and the cache lacks it") from error
    return {"revision": commit.resolved, "local_files_only": not answers}


def http_error() -> type[Exception]:
    """The base of all errors of the HTTP client under huggingface_hub: no connection, a time out, a refusal."""
    from huggingface_hub import errors

    return errors.HTTPError  # type: ignore[attr-defined]  # public there, but imported without `as`


def hub_answers(repo_id: str, revision: str | None = None) -> bool:
    """Whether the Hub says anything about a model within `TIMEOUT`, if only no."""
    from huggingface_hub import HfApi, errors

    try:
        HfApi().model_info(repo_id, revision=revision, timeout=TIMEOUT)
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        return status < 500 and status != 429
    except (http_error(), OSError):  # no connection, time out, or offline mode
        return False
    return True

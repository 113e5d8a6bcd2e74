"""Each way the Hub can refuse or fail, as an ArtifactError of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hsae.backbones.hub import http_error
from hsae.errors import ArtifactError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_LOGIN = "Log in with `hf auth login`, or set HF_TOKEN"


@contextmanager
def explained(repo_id: str, revision: str = "main", path: str = "") -> Iterator[None]:
    """Turn what huggingface_hub raises inside the block into an ArtifactError: got, expected, what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        do = f"Ask for it at https://huggingface.co/{repo_id}. {_LOGIN}"
        raise ArtifactError(f"{repo_id} is gated", "access to it", do) from error
    except errors.RepositoryNotFoundError as error:
        do = f"Check the name; when it is private: {_LOGIN.lower()}"
        raise ArtifactError(f"The Hub has no model {repo_id}", "org/name", do) from error
    except errors.RevisionNotFoundError as error:
        do = f"See https://huggingface.co/{repo_id}/commits/main"
        raise ArtifactError(f"{repo_id} has no revision {revision}", "a branch, tag or commit", do) from error
    except errors.RemoteEntryNotFoundError as error:
        got, do = f"{repo_id} at {revision} has no file {path}", "Check the name and the revision"
        raise ArtifactError(got, "an hsae artifact", do) from error
    except errors.LocalTokenNotFoundError as error:
        raise ArtifactError(f"No token for {repo_id}", "one that may write there", _LOGIN) from error
    except errors.HfHubHTTPError as error:
        raise _refusal(error, repo_id, revision, path) from error
    except errors.OfflineModeIsEnabled as error:
        got = f"Offline mode is on, and the cache lacks {path or repo_id}"
        raise ArtifactError(got, "a file downloaded before", "Unset HF_HUB_OFFLINE, or download it first") from error
    except (http_error(), OSError) as error:  # what is left: no connection, or time out
        raise _unreachable(type(error).__name__, repo_id, revision, path) from error


def _refusal(error: HfHubHTTPError, repo_id: str, revision: str, path: str) -> ArtifactError:
    """By the status of an answer that is none of the kinds huggingface_hub tells apart."""
    status = error.response.status_code
    if status == 401:
        return ArtifactError(f"The Hub does not know the token used for {repo_id}", "a valid token", _LOGIN)
    if status == 403:
        return ArtifactError(f"The token may not do this with {repo_id}", "one that may", _LOGIN)
    if status in (409, 412):
        do = "Look at what is there now, and try again"
        return ArtifactError(f"{repo_id} was changed by someone else meanwhile", "no other change at the same time", do)
    if status < 500 and status != 429:
        return ArtifactError(f"The Hub refused {path or 'a request'} for {repo_id}: {error}".strip(), "a valid request")
    return _unreachable(f"status {status}", repo_id, revision, path)


def _unreachable(why: str, repo_id: str, revision: str, path: str) -> ArtifactError:
    what = f"{path} of {repo_id} at {revision}, and the cache lacks it" if path else repo_id
    got, do = f"The Hub cannot be reached ({why}) for {what}", 'Try again later, or load a local folder or "starter"'
    return ArtifactError(got, "a connection, or a file downloaded before", do)

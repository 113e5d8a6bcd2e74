"""Publish an artifact as a Hub model: one commit of its own files, nothing else, checked afterwards."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsae.artifacts.card import UNPUBLISHED, render_card
from hsae.artifacts.files import check_sha256, sha256_of
from hsae.artifacts.hub import HubFiles, check_names
from hsae.artifacts.hub_errors import explained
from hsae.artifacts.index import INDEX, MAX_INDEX_BYTES, Index
from hsae.artifacts.save import CARD, FIGURES, save_artifact
from hsae.artifacts.strangers_json import read_document
from hsae.atomic import write_text
from hsae.backbones.hub import TIMEOUT, http_error
from hsae.errors import ArtifactError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.hf_api import RepoFile

    from hsae.artifacts.contents import Contents

log = logging.getLogger(__name__)

_COMMON = {".gitattributes", ".gitignore", "LICENSE", CARD}  # lie in any repository, and say nothing about what it is
_FORCE = "Choose another repository, or push with force (--force) to replace it"


def push_artifact(
    artifact: Contents,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    tag: str | None = None,
    force: bool = False,
) -> str:
    """See Artifact.push."""
    branch = revision or "main"
    check_names(repo_id, branch)
    with tempfile.TemporaryDirectory() as temporary:
        files, index = _files(artifact, repo_id, Path(temporary))
        with explained(repo_id, branch):
            target = _Target.open(repo_id, branch, private)
            stale = _stale(target, index, force) - set(files)
            _check_tag(target, tag, force)
            commit = _commit(target, files, stale)
            _verify(target, commit, files)
            if tag is not None:
                target.api.create_tag(repo_id, tag=tag, revision=commit)
    return commit


@dataclass(frozen=True)
class _Target:
    """Where to push to, and what is there now."""

    api: HfApi
    repo_id: str
    branch: str
    head: str
    files: frozenset[str]

    @classmethod
    def open(cls, repo_id: str, branch: str, private: bool) -> _Target:
        """Create the repository and the branch unless they are there."""
        from huggingface_hub import HfApi
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        api = HfApi()
        try:
            api.model_info(repo_id, timeout=TIMEOUT)
        except RepositoryNotFoundError:
            _check_token(repo_id)
            api.create_repo(repo_id, private=private)
        try:
            info = api.model_info(repo_id, revision=branch)
        except RevisionNotFoundError:
            api.create_branch(repo_id, branch=branch)
            info = api.model_info(repo_id, revision=branch)
        if info.sha is None or info.siblings is None:
            raise ArtifactError(f"The Hub does not say what {repo_id} holds", "its commit and its files", "Try again")
        return cls(api, repo_id, branch, info.sha, frozenset(file.rfilename for file in info.siblings))


def _check_token(repo_id: str) -> None:
    from huggingface_hub import get_token

    if get_token() is None:
        raise ArtifactError(f"No token to create {repo_id} with", "one that may write", "Log in with `hf auth login`")


def _files(artifact: Contents, repo_id: str, temporary: Path) -> tuple[dict[str, Path], Index]:
    """What is to lie in the repository, by path: hsae.json, all it lists, and the card with its figures."""
    folder = artifact.folder or save_artifact(artifact, temporary / "artifact", artifact.dtype)
    index = Index.from_json(read_document(folder / INDEX, INDEX, MAX_INDEX_BYTES))
    for path, sha in index.files.items():
        check_sha256(folder / path, path, sha)
    card = folder / CARD
    known = card.read_text(encoding="utf-8") if card.is_file() else render_card(artifact)
    write_text(temporary / CARD, known.replace(UNPUBLISHED, repo_id))
    figures = {f"{FIGURES}/{path.name}": path for path in sorted((folder / FIGURES).glob("*.svg"))}
    return {CARD: temporary / CARD, INDEX: folder / INDEX} | {p: folder / p for p in index.paths} | figures, index


def _stale(target: _Target, index: Index, force: bool) -> set[str]:
    """Files of the artifact that is there, which the new one replaces; ArtifactError when it is another one."""
    if INDEX not in target.files:
        strangers = sorted(target.files - _COMMON)
        if strangers and not force:
            got = f"{target.repo_id} holds something else: {', '.join(strangers[:5])}"
            raise ArtifactError(got, "a new repository, or an hsae artifact of the same backbone", _FORCE)
        return set()
    there = _index_there(target, force)
    if there is None:
        return set()
    mine, theirs = index.backbone, there.backbone
    if mine["weights_sha256"] != theirs["weights_sha256"] and not force:
        got = f"{target.repo_id} holds an artifact of {theirs['id']} ({theirs['weights_sha256'][:12]})"
        raise ArtifactError(got, f"one of {mine['id']} ({mine['weights_sha256'][:12]})", _FORCE)
    figures = {file for file in target.files if file.startswith(f"{FIGURES}/")}
    return (set(there.paths) | figures) & target.files


def _index_there(target: _Target, force: bool) -> Index | None:
    """What is published now; None when it is broken and to be replaced by force."""
    try:
        return Index.from_json(read_document(HubFiles(target.repo_id, target.head).get(INDEX), INDEX, MAX_INDEX_BYTES))
    except ArtifactError:
        if not force:
            raise
        return None


def _check_tag(target: _Target, tag: str | None, force: bool) -> None:
    """A tag stays where it is, unless force takes it away."""
    if tag is None or tag not in {ref.name for ref in target.api.list_repo_refs(target.repo_id).tags}:
        return
    if not force:
        raise ArtifactError(
            f"{target.repo_id} has the tag {tag!r} already", "a new tag", "Choose another, or use force"
        )
    target.api.delete_tag(target.repo_id, tag=tag)


def _commit(target: _Target, files: dict[str, Path], stale: set[str]) -> str:
    """Upload what the Hub lacks, then make all of it visible at once; returns the commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    additions = [CommitOperationAdd(path, local) for path, local in files.items()]
    deletions = [CommitOperationDelete(path, is_folder=False) for path in sorted(stale)]
    with warnings.catch_warnings(), _upload_errors():
        warnings.filterwarnings("ignore", "It seems that you are about to commit a data file")  # the tables
        _check_card(target.api, files[CARD])
        _send_by_layer(target, additions)
        commit = target.api.create_commit(
            target.repo_id,
            [*additions, *deletions],
            commit_message="Add artifact",
            revision=target.branch,
            parent_commit=target.head,
        )
    return commit.oid


def _check_card(api: HfApi, card: Path) -> None:
    """ArtifactError when the Hub finds fault with a card, before anything large is sent."""
    from huggingface_hub import utils

    hub: Any = utils  # whose public names are imported without `as`

    asked = {"content": card.read_text(encoding="utf-8"), "repoType": "model"}
    response = hub.get_session().post(f"{api.endpoint}/api/validate-yaml", json=asked, headers=hub.build_hf_headers())
    if response.status_code == 400:
        errors = "; ".join(str(error.get("message")) for error in response.json().get("errors", []))
        raise ArtifactError(f"{CARD}: {errors}", "valid front matter", "Correct it, or remove the file")
    hub.hf_raise_for_status(response)


def _send_by_layer(target: _Target, additions: list[CommitOperationAdd]) -> None:
    """Send large files one layer after the other. What the Hub has it does not ask for again: a push goes on there."""
    layers = [list(files) for _, files in groupby(additions, key=lambda file: file.path_in_repo.partition("/")[0])]
    for number, files in enumerate(layers, start=1):
        log.info("sending %s (%d of %d)", files[0].path_in_repo.partition("/")[0], number, len(layers))
        target.api.preupload_lfs_files(target.repo_id, files, revision=target.branch, free_memory=False)


@contextmanager
def _upload_errors() -> Iterator[None]:
    """What huggingface_hub raises around an error of the Hub: that error; when the card is at fault, ArtifactError."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if isinstance(error.__cause__, http_error()) and isinstance(error, RuntimeError):
            raise error.__cause__ from None
        if isinstance(error, http_error()) or CARD not in str(error):
            raise
        raise ArtifactError(str(error), f"valid front matter in {CARD}", "Correct it, or remove the file") from error


def _verify(target: _Target, commit: str, files: dict[str, Path]) -> None:
    """Compare every file with what the Hub says it holds: sha256 of large ones, git's id of the others."""
    from huggingface_hub.hf_api import RepoFile

    tree = target.api.list_repo_tree(target.repo_id, recursive=True, revision=commit)
    there = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
    bad = [path for path, local in files.items() if path not in there or not _same(there[path], local)]
    if bad:
        got = f"{target.repo_id} at {commit} holds other bytes than were sent: {', '.join(bad[:5])}"
        raise ArtifactError(got, "what lies here", "Push again; do not use that commit")


def _same(entry: RepoFile, local: Path) -> bool:
    if entry.lfs is not None:
        return entry.lfs.sha256 == sha256_of(local)
    content = local.read_bytes()
    return entry.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

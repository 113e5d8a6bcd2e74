"""How every module here refuses an artifact: where the defect is, what was found, what the format says."""

from __future__ import annotations

from hsae.errors import ArtifactError

_AGAIN = "Get or make the artifact again; hsae/artifacts/README.md describes the format."


def require(condition: bool, where: str, got: str, expected: str) -> None:
    """Raise the ArtifactError of `broken` unless `condition` holds."""
    if not condition:
        raise broken(where, got, expected)


def broken(where: str, got: str, expected: str, do: str = _AGAIN) -> ArtifactError:
    """The error for a defect in `where` (a file, or a field of one); do: what to do about it."""
    return ArtifactError(f"{where}: {got}", expected, do)

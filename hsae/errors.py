"""Every error hsae raises on purpose.

HsaeError
├── InputError            a value, path or option the caller gave cannot be used
│   ├── ImageError        a file or upload is not an image we can read
│   └── LabelError        a class label or WordNet id is unknown
├── BackboneError         a backbone is unknown, cannot be fetched, or its weights are not the expected ones
├── StoreError            an activation store is broken, incomplete, or belongs to something else
├── TrainingError         training met values it cannot go on with
├── WriteError            a result cannot be written, as when the disk is full; it is an OSError too
└── ArtifactError         an artifact is missing, broken, of another schema, or belongs to another backbone
"""

from __future__ import annotations


class HsaeError(Exception):
    """Base of every error a user of hsae can cause; the message says got, expected and what to do."""

    def __init__(self, got: str, expected: str = "", do: str = "") -> None:
        self.got, self.expected, self.do = got, expected, do
        parts = [got, f"Expected {expected}." if expected else "", do]
        super().__init__(" ".join(_sentence(part) for part in parts if part))


class InputError(HsaeError):
    """A value, path or option the caller gave cannot be used."""


class ImageError(InputError):
    """A file or upload is not an image we can read."""


class LabelError(InputError):
    """A class label or WordNet id is unknown."""


class BackboneError(HsaeError):
    """A backbone is unknown, cannot be fetched, or its weights are not the expected ones."""


class StoreError(HsaeError):
    """An activation store is broken, incomplete, or belongs to something else."""


class TrainingError(HsaeError):
    """Training met values it cannot go on with."""


class WriteError(HsaeError, OSError):
    """A result cannot be written, as when the disk is full; what was there before stays."""


class ArtifactError(HsaeError):
    """An artifact is missing, broken, of another schema, or belongs to another backbone."""


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."

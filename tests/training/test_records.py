"""A result is taken as done only with its record, and only while it is what was written."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.extras import add_document, content_sha256
from hsae.errors import ArtifactError
from training.records import Record


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record(tmp_path / "saes.safetensors", {"k": (4, None), "layers": ["a"]})
    with record.renewed():
        record.result.write_bytes(b"weights")
    return record


def test_what_was_written_with_the_same_settings_is_done(record: Record) -> None:
    assert record.done()
    assert Record(record.result, {"layers": ["a"], "k": [4, None]}).done()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda record: record.result.unlink(), "is missing"),
        (lambda record: record.result.write_bytes(b"weight"), "is damaged"),
        (lambda record: record.result.write_bytes(b"weighus"), "is damaged"),
        (lambda record: record.path.write_text('{"settings": {"k"'), "cannot be read"),
        (lambda record: record.path.write_bytes(b"\xff\xfe"), "cannot be read"),
        (lambda record: record.path.write_text("[]"), "record without a sha256"),
        (lambda record: record.path.write_text(json.dumps(record.settings)), "record without a sha256"),
    ],
)
def test_anything_else_is_made_again_and_says_why(record: Record, caplog, damage, said: str) -> None:
    damage(record)
    assert not record.done()
    (told,) = caplog.messages
    assert told.startswith(f"{record.result} ")
    assert said in told


def test_other_settings_are_made_again(record: Record, caplog) -> None:
    assert not Record(record.result, {"k": 5}).done()
    assert "was made with other settings" in caplog.text


def test_what_was_never_made_is_not_worth_a_word(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    assert not Record(tmp_path / "x.safetensors", {}).done()
    assert caplog.messages == []


def test_the_record_is_gone_while_its_result_is_replaced(record: Record) -> None:
    def broken_off() -> None:
        with record.renewed():
            assert not record.path.exists()
            record.result.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert not record.done()


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    Artifact.load("starter").only(["block_01", "block_02"]).save(tmp_path / "artifact")
    return tmp_path / "artifact"


def test_an_artifact_is_the_same_whatever_was_measured_on_it_since(artifact: Path) -> None:
    record = Record(artifact, {}, content_sha256)
    with record.renewed():
        pass
    add_document(artifact, "causal", {"measured": 1})
    assert record.done()
    index = artifact / "hsae.json"
    index.write_text(index.read_text().replace('"n_images": ', '"n_images": 1'))
    assert not record.done()
    shutil.rmtree(artifact)
    assert not record.done()


def test_every_file_of_an_artifact_is_compared(artifact: Path) -> None:
    add_document(artifact, "causal", {"measured": 1})
    whole = content_sha256(artifact)
    for path in Artifact.load(artifact).index.paths:
        before = (artifact / path).read_bytes()
        (artifact / path).write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
        with pytest.raises(ArtifactError, match=path.split("/")[-1]):
            content_sha256(artifact)
        (artifact / path).unlink()
        with pytest.raises(ArtifactError, match="missing"):
            content_sha256(artifact)
        (artifact / path).write_bytes(before)
    assert content_sha256(artifact) == whole

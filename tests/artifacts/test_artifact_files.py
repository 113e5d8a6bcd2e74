"""Files that are missing, changed, elsewhere, endless or no JSON are refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.files import PACKAGED, packaged, sha256_of
from hsae.errors import ArtifactError
from tests.artifacts.conftest import read_all, refused, refused_after_rehash, rehash

CFG, IMAGES = "block_01/cfg.json", "block_01/top_images.json"
WEIGHTS, TABLE = "block_01/sae_weights.safetensors", "block_01/latents.parquet"


def test_the_unbroken_artifact_loads_after_rehashing(folder):
    rehash(folder)
    read_all(folder)


def test_packaged_artifacts_are_those_that_are_there_and_load_by_name(folder, tmp_path, monkeypatch):
    assert packaged()[0] == "starter"
    monkeypatch.setitem(PACKAGED, "starter-patches", folder)
    assert packaged() == ["starter", "starter-patches"]
    assert Artifact.load("starter-patches").sha256 == Artifact.load(folder).sha256
    monkeypatch.setitem(PACKAGED, "starter-patches", tmp_path / "not" / "there")
    assert packaged() == ["starter"]
    refused("starter-patches", "no artifact")


ALL_FILES = [CFG, WEIGHTS, TABLE, IMAGES, "probes.safetensors", "curves.json", "tree.json"]


@pytest.mark.parametrize("path", ALL_FILES)
def test_a_changed_file_is_refused(folder, path):
    content = bytearray((folder / path).read_bytes())
    content[-1] ^= 1
    (folder / path).write_bytes(content)
    refused(folder, "sha256")


@pytest.mark.parametrize("path", [CFG, IMAGES, "curves.json", "tree.json"])
def test_line_ends_that_git_changed_are_named_with_the_way_out(folder, path):
    content = (folder / path).read_bytes()
    (folder / path).write_bytes(content.replace(b"\n", b"\r\n"))
    refused(folder, r"CRLF.*core\.autocrlf=false")
    (folder / path).write_bytes(content.replace(b"\n", b"\r\n") + b" ")  # control: changed otherwise as well
    with pytest.raises(ArtifactError, match="sha256") as caught:
        read_all(folder)
    assert "CRLF" not in str(caught.value)


@pytest.mark.parametrize("path", [WEIGHTS, TABLE, "probes.safetensors"])
def test_a_pointer_of_git_lfs_is_named_with_the_way_out(folder, path):
    size = (folder / path).stat().st_size
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256_of(folder / path)}\nsize {size}\n"
    (folder / path).write_text(pointer)
    refused(folder, "git-lfs pointer.*git lfs pull")


@pytest.mark.parametrize("path", ["hsae.json", *ALL_FILES])
def test_a_missing_file_is_named(folder, path):
    (folder / path).unlink()
    refused(folder, "is missing")


@pytest.mark.parametrize("path", ["hsae.json", *ALL_FILES])
def test_a_folder_or_pipe_in_place_of_a_file_is_refused(folder, path):
    (folder / path).unlink()
    os.mkfifo(folder / path)
    refused(folder, "is missing")
    (folder / path).unlink()
    (folder / path).mkdir()
    refused(folder, "is missing")


@pytest.mark.parametrize("path", ["hsae.json", *ALL_FILES])
def test_a_link_that_leaves_the_folder_is_refused(folder, tmp_path, path):
    (folder / path).rename(tmp_path / "elsewhere")
    (folder / path).symlink_to(tmp_path / "elsewhere")
    refused(folder, "leads out")


def test_links_inside_the_folder_and_of_a_hub_snapshot_are_followed(folder, tmp_path):
    (folder / "tree.json").rename(folder / "real.json")
    (folder / "tree.json").symlink_to("real.json")
    read_all(folder)
    snapshot = tmp_path / "models--org--name" / "snapshots" / "abc"
    (snapshot.parents[1] / "blobs").mkdir(parents=True)
    shutil.copytree(folder, snapshot)
    (snapshot / "curves.json").rename(snapshot.parents[1] / "blobs" / "1")
    (snapshot / "curves.json").symlink_to("../../blobs/1")
    read_all(snapshot)


BAD_JSON = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not utf-8": b'{"a": "\xff"}',
    "deeply nested": b"[" * 100_000,
    "nested 100": b"[" * 100 + b"]" * 100,
    "a key twice": b'{"schema": 1, "schema": 1}',
    "NaN": b'{"a": NaN}',
    "infinity by overflow": b'{"a": 1e999}',
    "endless integer": b'{"a": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("path", ["hsae.json", CFG, IMAGES, "curves.json", "tree.json"])
@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_is_none_or_too_much(folder, name, path):
    (folder / path).write_bytes(BAD_JSON[name])
    if path != "hsae.json":
        refused_after_rehash(folder, Path(path).name)


@pytest.mark.parametrize("path", ["hsae.json", CFG, IMAGES, "curves.json", "tree.json"])
def test_json_beyond_its_size_is_not_even_read(folder, path):
    with (folder / path).open("r+b") as file:
        file.truncate(2**40)  # sparse: takes no room, but reading or hashing it would take an hour
    refused(folder, "1099511627776 bytes")

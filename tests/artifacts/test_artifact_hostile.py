"""Artifacts made to do harm: refused in words, in bounded memory, and nothing is written or run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from tests.artifacts.conftest import GOLDEN, contents, edit_json, rehash

WEIGHTS, TABLE = "block_01/sae_weights.safetensors", "block_01/latents.parquet"
MAX_BYTES = 10**9


class Evil:
    """Unpickled, it would leave a file behind."""

    def __reduce__(self):
        return (os.mkdir, ("proof",))


def huge_layer(index: dict) -> None:
    index["layers"][0] |= {"d_in": 16_384, "d_sae": 1_000_000}


def declared(folder: Path, shape: list[int]) -> None:
    """A header that declares W_enc larger than anything, over a file that is as long and all holes."""
    length = 4 * shape[0] * shape[1]
    header = json.dumps({"W_enc": {"dtype": "F32", "shape": shape, "data_offsets": [0, length]}}).encode()
    with (folder / WEIGHTS).open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + length)


def bomb(folder: Path, compression: str) -> None:
    """A table of a few kilobytes that unpacks to gigabytes."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 10**6, pa.int32()), pa.array(["x" * 10_000]))
    pq.write_table(pa.table({"label": column}), folder / TABLE, compression=compression)


def weights(folder: Path, **other: torch.Tensor) -> None:
    good = {"W_enc": torch.zeros(8, 16), "b_enc": torch.zeros(16), "W_dec": torch.eye(8).repeat(2, 1)}
    save_file({**good, "b_dec": torch.zeros(8), **other}, folder / WEIGHTS)
    edit_json(folder / "block_01" / "cfg.json", lambda cfg: cfg["metadata"].update(weights_dtype="float32"))


HOSTILE = {
    "declared 4 TB": lambda f: declared(f, [10**6, 10**6]),
    "declared 256 GB": lambda f: declared(f, [2**18, 2**18]),
    "index of 64 GB": lambda f: edit_json(f / "hsae.json", huge_layer),
    "parquet bomb": lambda f: bomb(f, "zstd"),
    "parquet bomb in a dictionary": lambda f: bomb(f, "none"),
    "pickle for weights": lambda f: (f / WEIGHTS).write_bytes(pickle.dumps(Evil())),
    "pickle by torch": lambda f: torch.save({"W_enc": Evil()}, f / WEIGHTS),
    "NaN": lambda f: weights(f, b_enc=torch.full((16,), torch.nan)),
    "float64": lambda f: weights(f, b_enc=torch.zeros(16, dtype=torch.float64)),
    "integers": lambda f: weights(f, b_enc=torch.zeros(16, dtype=torch.int32)),
    "one more tensor": lambda f: weights(f, extra=torch.zeros(2)),
    "cut": lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-1]),
    "50 MB of brackets": lambda f: (f / "tree.json").write_bytes(b"[" * 50_000_000),
    "a climbing layer": lambda f: edit_json(f / "hsae.json", lambda i: i["layers"][0].update(name="../block_01")),
    "an absolute path": lambda f: edit_json(f / "hsae.json", lambda i: i["files"].update({"/etc/passwd": "0" * 64})),
    "a climbing photograph": lambda f: edit_json(
        f / "block_01" / "top_images.json", lambda rows: rows[0].update(starter=[["../../etc/passwd", 1.0]])
    ),
    "a link": lambda f: ((f / WEIGHTS).unlink(), (f / WEIGHTS).symlink_to("/etc/passwd")),
    "a loop of links": lambda f: ((f / WEIGHTS).unlink(), (f / WEIGHTS).symlink_to("sae_weights.safetensors")),
}

NOT_HASHED = ("an absolute path", "a climbing layer", "a link", "a loop of links", "declared 4 TB", "declared 256 GB")
"""Hashing them again is impossible, or would take an hour; they are refused before any hash is looked at."""

READER = r"""
import re, sys
from pathlib import Path
from hsae.errors import HsaeError
from tests.artifacts.conftest import read_all
for folder in sys.argv[1:]:
    try:
        read_all(Path(folder))
        print("sound")
    except HsaeError as error:
        print(type(error).__name__)
print(int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024)
"""


def read_elsewhere(folders: list[Path]) -> tuple[list[str], int]:
    """What a process says that reads all of each artifact in turn, and the most memory it took.

    By `VmHWM`, for `ru_maxrss` counts what the process that started it had taken.
    """
    done = subprocess.run(
        [sys.executable, "-c", READER, *map(str, folders)], cwd=folders[0].parent, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    *said, memory = done.stdout.split()
    return said, int(memory)


@pytest.mark.slow
def test_all_are_refused_in_bounded_memory_and_nothing_happens(tmp_path):
    good = shutil.copytree(GOLDEN / "schema_1", tmp_path / "good")
    folders = [shutil.copytree(good, tmp_path / name) for name in HOSTILE]
    for name, folder in zip(HOSTILE, folders, strict=True):
        HOSTILE[name](folder)
        if name not in NOT_HASHED:
            rehash(folder)
    before = {path.name for path in tmp_path.iterdir()}
    said, memory = read_elsewhere([good, *folders])
    assert dict(zip(["control", *HOSTILE], said, strict=True)) == {"control": "sound"} | dict.fromkeys(
        HOSTILE, "ArtifactError"
    )
    assert memory < MAX_BYTES
    assert {path.name for path in tmp_path.iterdir()} == before
    assert contents(good) == contents(GOLDEN / "schema_1")

"""The folder of uploads: opens whole uploads and nothing else, keeps to its room, and leaves nothing behind."""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path

import pytest

from hsae.views.page.upload_folder import MAX_AGE, UploadFolder


@pytest.fixture
def folder(tmp_path):
    made = UploadFolder(tmp_path)
    yield made
    made.close()


def put(folder: UploadFolder, name: str = "photo.png", content: bytes = b"pixels", of: str = "a") -> Path:
    """An upload as Gradio stores it."""
    path = folder.path / (of * 64) / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def below(parent: Path) -> list[str]:
    return sorted(str(path.relative_to(parent)) for path in parent.rglob("*"))


def test_an_upload_is_read_and_removed(folder):
    path = put(folder)
    assert folder.content(str(path)) == b"pixels"
    folder.remove(str(path))
    assert folder.content(str(path)) is None
    assert not path.exists()


def strange_paths(folder: UploadFolder, outside: Path) -> dict[str, str]:
    """Paths that are no uploads, though each names something that can be opened, or once could."""
    upload = put(folder)
    part = folder.path / "tmpabc123"
    part.write_bytes(b"a part")
    link = upload.with_name("link.png")
    link.symlink_to(outside)
    linked = folder.path / ("b" * 64)
    linked.symlink_to(outside.parent, target_is_directory=True)
    pipe = upload.with_name("pipe.png")
    os.mkfifo(pipe)
    directory = upload.with_name("directory.png")
    directory.mkdir()
    deep = directory / "photo.png"
    deep.write_bytes(b"deep")
    return {
        "outside": str(outside), "relative": os.path.relpath(upload), "relative outside": os.path.relpath(outside),
        "link": str(link), "through a link": str(linked / outside.name), "pipe": str(pipe), "deep": str(deep),
        "directory": str(directory), "the folder of an upload": str(upload.parent), "part": str(part),
        "the folder": str(folder.path), "lock": str(folder.path.parent / "lock"), "device": "/dev/zero",
        "terminal": "/dev/ptmx", "process": "/proc/self/environ", "missing": str(upload.with_name("no.png")),
        "dots": f"{upload.parent}/../{upload.parent.name}/{upload.name}", "dots in front": f"/tmp/..{upload}",
        "two slashes": f"{upload.parent}//{upload.name}", "dot": f"{upload.parent}/.", "up": f"{upload.parent}/..",
        "nothing": "", "zero byte": f"{upload}\0", "no unicode": f"{upload.parent}/\ud800", "file:": f"file://{upload}",
        "too long": f"{upload.parent}/{'x' * 5000}", "capitals": str(upload).replace("a" * 64, "A" * 64),
        "line": f"{upload}\n",
    }  # fmt: skip


def test_nothing_but_an_upload_is_ever_opened_or_removed(folder, tmp_path):
    outside = tmp_path / "outside" / "secret.png"
    outside.parent.mkdir()
    outside.write_bytes(b"secret")
    paths = strange_paths(folder, outside)
    before = below(tmp_path)
    read: dict[str, bytes | None] = {}

    def read_all() -> None:
        for name, path in paths.items():
            read[name] = folder.content(path)
            folder.remove(path)

    reader = threading.Thread(target=read_all, daemon=True)  # a pipe or terminal would block it for ever
    reader.start()
    reader.join(20)
    assert read == dict.fromkeys(paths)
    in_its_place = os.path.relpath(paths["pipe"], tmp_path)
    assert set(before) - set(below(tmp_path)) <= {in_its_place}
    assert outside.read_bytes() == b"secret"
    assert folder.content(str(put(folder))) == b"pixels"  # control


def test_only_this_user_may_look_into_it(folder):
    for path in (folder.path, folder.path.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_the_sweep_deletes_what_is_old_whoever_left_it_and_nothing_else(folder):
    old, new = put(folder, "old.png"), put(folder, "new.png", of="b")
    part, state = folder.path / "tmpold", folder.path / "other" / "state.json"
    state.parent.mkdir()
    for path in (part, state):
        path.write_bytes(b"x")
    for path in (old, part, state, old.parent, state.parent):
        age(path, MAX_AGE + 1)
    age(new, MAX_AGE - 30)
    folder.sweep()
    folder.sweep()  # folders that became empty count as changed then, and stay for another while
    assert {path.name for path in folder.path.rglob("*") if path.is_file()} == {"new.png"}
    for path in folder.path.iterdir():
        age(path, MAX_AGE + 1)
    folder.sweep()
    assert below(folder.path) == [new.parent.name, f"{new.parent.name}/new.png"]


def test_used_counts_every_byte_and_that_files_take_blocks(folder):
    assert folder.used() == 0
    put(folder, content=bytes(100_000))
    for n in range(10):
        put(folder, f"{n}.png", b"")
    assert 100_000 + 10 * 4096 <= folder.used() <= 100_000 + 12 * 4096


def test_parts_are_removed_and_uploads_stay(folder):
    whole = put(folder)
    (folder.path / "tmp12345678").write_bytes(b"half of a")
    folder.remove_parts()
    assert below(folder.path) == [whole.parent.name, f"{whole.parent.name}/photo.png"]


def test_closing_leaves_nothing(tmp_path):
    folder = UploadFolder(tmp_path)
    put(folder)
    folder.close()
    folder.close()
    assert below(tmp_path) == []


def test_a_new_process_deletes_what_dead_ones_left_and_lets_living_ones_be(folder, tmp_path):
    living = put(folder)
    dead, fresh, ancient = (tmp_path / f"hsae-uploads-{name}" for name in ("dead", "fresh", "ancient"))
    for left in (dead, fresh, ancient):
        (left / "files").mkdir(parents=True)
        (left / "files" / "photo.png").write_bytes(b"left")
    (dead / "lock").touch()  # which nobody holds
    age(ancient, 3600)  # without a lock, like `fresh`, whose process may be about to take one
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (tmp_path / "hsae-uploads-link").symlink_to(elsewhere, target_is_directory=True)
    UploadFolder(tmp_path).close()
    assert living.exists()
    assert [left.exists() for left in (dead, fresh, ancient, elsewhere)] == [False, True, False, True]

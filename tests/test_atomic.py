"""A target is either as it was or as it was meant to be, never in between."""

import errno
import json
import os
import subprocess
import sys
from threading import Barrier, Thread

import pytest

from hsae import atomic
from hsae.atomic import atomic_path, remove, sweep, write_json, write_text
from hsae.errors import HsaeError, ImageError, WriteError


def make_folder(path, **files: str) -> None:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)


def read_folder(path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.iterdir()}


def test_a_new_file_and_a_replaced_one_in_a_new_folder(tmp_path):
    target = tmp_path / "a" / "b" / "text"
    for text in ("first", "zwölf ☃"):
        write_text(target, text)
        assert target.read_text(encoding="utf-8") == text
    assert os.listdir(target.parent) == ["text"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for files in ({"old": "1", "both": "1"}, {"new": "2", "both": "2"}):
        with atomic_path(tmp_path / "folder") as temporary:
            make_folder(temporary, **files)
        assert read_folder(tmp_path / "folder") == files
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_after_an_error_everything_is_as_before(tmp_path, kind):
    target = tmp_path / "target"
    write_text(target, "before") if kind == "file" else make_folder(target, before="1")
    half = make_folder if kind == "folder" else lambda path: path.write_text("half")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        _ = half(temporary), 1 / 0
    assert target.read_text() == "before" if kind == "file" else read_folder(target) == {"before": "1"}
    assert os.listdir(tmp_path) == ["target"]


def test_nothing_is_visible_before_the_end(tmp_path):
    with atomic_path(tmp_path / "target") as temporary:
        temporary.write_text("half")
        assert not (tmp_path / "target").exists()
        assert temporary.parent.parent == tmp_path
        assert os.listdir(tmp_path) == [temporary.parent.name]
        assert temporary.parent.name.startswith(".")


def test_a_file_never_replaces_a_folder_nor_a_folder_a_file(tmp_path):
    make_folder(tmp_path / "folder", thesis="years of work")
    with pytest.raises(OSError, match="folder"):
        write_text(tmp_path / "folder", "text")
    write_text(tmp_path / "file", "text")
    with pytest.raises(OSError, match="file"), atomic_path(tmp_path / "file") as temporary:
        make_folder(temporary)
    assert read_folder(tmp_path / "folder") == {"thesis": "years of work"}
    assert (tmp_path / "file").read_text() == "text"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_a_block_that_makes_nothing_leaves_the_target(tmp_path):
    make_folder(tmp_path / "folder", kept="1")
    with pytest.raises(OSError, match="folder"), atomic_path(tmp_path / "folder"):
        pass
    assert read_folder(tmp_path / "folder") == {"kept": "1"}


def test_an_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    make_folder(tmp_path / "folder", kept="1")
    rename, renamed = os.replace, []

    def fail_once(source, target):
        renamed.append(target)
        if len(renamed) == 2:
            raise OSError("refused")
        rename(source, target)

    monkeypatch.setattr(atomic.os, "replace", fail_once)
    with pytest.raises(OSError, match="refused"), atomic_path(tmp_path / "folder") as temporary:
        make_folder(temporary, new="2")
    assert read_folder(tmp_path / "folder") == {"kept": "1"}
    assert os.listdir(tmp_path) == ["folder"]


def test_threads_that_write_the_same_target_do_not_mix(tmp_path):
    both_inside, outcomes = Barrier(2), []

    def write(text: str) -> None:
        with atomic_path(tmp_path / "target") as temporary:
            both_inside.wait(timeout=300)
            temporary.write_text(text)
            both_inside.wait(timeout=300)
            outcomes.append(temporary.read_text() == text)

    threads = [Thread(target=write, args=(letter * 1000,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True, True]
    assert (tmp_path / "target").read_text() in ("a" * 1000, "b" * 1000)
    assert os.listdir(tmp_path) == ["target"]


def test_leftovers_are_not_in_the_way(tmp_path):
    with atomic_path(tmp_path / "target") as leftover:
        leftover.write_text("whole")
    leftover.parent.mkdir()
    make_folder(leftover, half="1")
    write_text(tmp_path / "target", "again")
    assert (tmp_path / "target").read_text() == "again"
    assert os.listdir(tmp_path) == ["target"]


KILLED = """
import os, signal, sys
from hsae.atomic import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.mkdir()
    (temporary / "half").write_text("x")
    (temporary.parent / ".a library's own").write_text("x")
    if len(sys.argv) > 2:
        print(flush=True)
        input()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def started(*arguments, **options):
    return subprocess.Popen([sys.executable, "-c", KILLED, *map(str, arguments)], text=True, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 needs POSIX")
def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path):
    kept = [".hidden", ".notes.tmp", ".x.12-3.txt", "folder.1-1.tmp"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    assert started(tmp_path / "deep" / "er" / "folder").wait() != 0
    running = started(tmp_path / "running", "wait", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    running.stdout.readline()
    assert len(list((tmp_path / "deep" / "er").iterdir())) == 1
    sweep(tmp_path)
    assert list((tmp_path / "deep" / "er").iterdir()) == []
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "deep", f".running.{running.pid}-{running.pid}.tmp"])
    running.communicate("")
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "deep"])
    sweep(tmp_path / "missing")


def test_a_folder_that_stepped_aside_comes_back_unless_the_new_one_is_there(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in ("alone", "replaced"):
        make_folder(tmp_path / f".{name}.{gone.pid}-1.old", old="1")
    make_folder(tmp_path / "replaced", new="2")
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["alone", "replaced"]
    assert read_folder(tmp_path / "alone") == {"old": "1"}
    assert read_folder(tmp_path / "replaced") == {"new": "2"}


def test_what_cannot_be_written_is_a_sentence_that_names_the_target(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="folder that can be written") as within_a_file:
        write_text(tmp_path / "file" / "below", "text")
    assert within_a_file.value.got.startswith(f"{tmp_path / 'file' / 'below'} could not be written: ")

    def fill() -> None:
        with atomic_path(tmp_path / "folder") as temporary, atomic_path(temporary / "part"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(HsaeError) as full:
        fill()
    assert full.value.got == f"{tmp_path / 'folder'} could not be written: [Errno 28] No space left on device"
    with pytest.raises(ImageError), atomic_path(tmp_path / "other"):
        raise ImageError("not an error of the disk")
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_json_is_sorted_and_strict(tmp_path):
    write_json(tmp_path / "x.json", {"b": [1, 2.5], "a": "ä"})
    assert list(json.loads((tmp_path / "x.json").read_text())) == ["a", "b"]
    for bad in (float("nan"), float("inf"), object()):
        with pytest.raises((ValueError, TypeError)):
            write_json(tmp_path / "x.json", {"a": bad})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": "ä", "b": [1, 2.5]}


def test_compact_json_is_one_line_of_the_same(tmp_path):
    value = {"b": [1, 2.5], "a": {"c": None}}
    write_json(tmp_path / "long.json", value)
    write_json(tmp_path / "short.json", value, compact=True)
    assert (tmp_path / "short.json").read_text() == '{"a":{"c":null},"b":[1,2.5]}\n'
    assert json.loads((tmp_path / "long.json").read_text()) == value


def test_remove_spares_what_a_link_points_to(tmp_path):
    make_folder(tmp_path / "folder", kept="1")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    remove(tmp_path / "link")
    remove(tmp_path / "nothing")
    assert read_folder(tmp_path / "folder") == {"kept": "1"}
    remove(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()

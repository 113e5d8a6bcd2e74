"""Pictures that ask for hours of work are decoded or refused within the promised time, and cost nothing else."""

from __future__ import annotations

import os
import threading
import time
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFile

from hsae.data import apart, jpeg, limits
from hsae.data.decode import decode_here
from hsae.data.jpeg import check_scans, lean_jpeg
from hsae.data.limits import Limits, TimedBytes, TooMuchWork
from hsae.data.open_image import open_image
from hsae.data.png import lean_png
from hsae.data.samples import load_samples
from hsae.errors import ImageError
from tests.data import hostile_pictures as pictures
from tests.data.hostile_pictures import HOSTILE, encoded, flat, noise

AFTERWARDS = 1.0
"""Seconds of processor time for what a decoder does between two looks at the clock, and for scaling down."""


def test_there_are_enough_of_every_format():
    formats = [name.split(":")[0] for name in HOSTILE]
    assert len(formats) >= 60
    assert {"jpeg", "png", "gif", "webp", "tiff", "bmp", "ppm"} <= set(formats)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_picture_is_decoded_or_refused_in_time(name, monkeypatch):
    if name.split(":")[0] in ("gif", "bmp", "ppm"):
        monkeypatch.setattr(limits, "SECONDS", 0.3)  # their hostile pictures all run into the clock
    picture = HOSTILE[name]()
    start, by_the_clock = time.thread_time(), time.monotonic()
    try:
        image = open_image(picture, name="holiday")
    except ImageError as error:
        said = str(error)
    else:
        said = f"holiday {image.size}"
    assert said.startswith("holiday ")
    assert time.thread_time() - start < limits.SECONDS + AFTERWARDS
    assert time.monotonic() - by_the_clock < apart._PATIENCE + 10 * AFTERWARDS  # however busy the machine is


def test_control_without_the_check_of_its_scans_a_jpeg_takes_many_times_longer():
    picture = pictures.jpeg_scans(flat(2000, 2000), -1, 90)
    assert len(picture) < 60_000

    def seconds(data: bytes) -> float:
        start = time.thread_time()
        with Image.open(BytesIO(data)) as image:
            image.load()
        return time.thread_time() - start

    head, *scans, end = pictures.scans_of(picture)
    assert seconds(picture) > 4 * seconds(head + b"".join(scans[:10]) + end)
    assert open_image(picture).size == (1024, 1024), "90 scans of a small picture are within bounds"
    with pytest.raises(ImageError, match="more than 100 scans"):
        open_image(pictures.jpeg_scans(flat(2000, 2000), -1, 91))


@pytest.mark.parametrize(
    ("options", "blocks"),
    [
        ({}, 200 + 2 * 50),
        ({"progressive": True}, 2 * (200 + 2 * 50) + 4 * 200 + 2 * 2 * 50),
        ({"progressive": True, "subsampling": 0}, 2 * 3 * 200 + 4 * 200 + 2 * 2 * 200),
    ],
)
def test_blocks_that_the_scans_of_a_jpeg_go_over_are_counted(options, blocks, monkeypatch):
    picture = encoded(noise(160, 80), "JPEG", **options)
    monkeypatch.setattr(jpeg, "MAX_VISITS", blocks)
    check_scans(picture)
    monkeypatch.setattr(jpeg, "MAX_VISITS", blocks - 1)
    with pytest.raises(TooMuchWork, match=f"over {blocks} blocks"):
        check_scans(picture)


def test_what_no_program_writes_is_refused_by_structure():
    with pytest.raises(TooMuchWork, match="scans go over"):
        check_scans(HOSTILE["jpeg: scans behind comments"]())
    with pytest.raises(TooMuchWork, match="arithmetic"):
        lean_jpeg(HOSTILE["jpeg: arithmetic coding"]())
    with pytest.raises(TooMuchWork, match="chunks"):
        lean_png(HOSTILE["png: empty chunks"]())


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA", "LA", "1"])
def test_leaving_metadata_out_changes_no_pixel(kind, mode):
    if (kind, mode) in {("JPEG", "P"), ("JPEG", "RGBA"), ("JPEG", "LA"), ("PNG", "CMYK")}:
        pytest.skip("no such file")
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    picture = noise(90, 60).convert(mode)
    data = encoded(picture, kind, exif=exif.tobytes(), icc_profile=bytes(500), comment="a comment")
    lean, block = (lean_jpeg if kind == "JPEG" else lean_png)(data)
    assert len(lean) < len(data) - 90
    assert b"a description" in block
    assert b"a description" not in lean
    with Image.open(BytesIO(data)) as whole, Image.open(BytesIO(lean)) as without:
        assert (without.mode, without.size) == (whole.mode, whole.size)
        np.testing.assert_array_equal(np.asarray(without), np.asarray(whole))


def test_time_is_up_for_the_thread_that_used_it_only(monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 0.05)
    stream, read = TimedBytes(b"abc"), []
    assert stream.read(1) == b"a"
    while time.thread_time() < stream._until:
        pass
    other = threading.Thread(target=lambda: read.append(TimedBytes(b"xyz").read()))
    other.start()
    other.join()
    assert read == [b"xyz"]
    with pytest.raises(TooMuchWork, match="to decode"):
        stream.read(1)


@pytest.mark.parametrize("kind", ["TIFF", "AVIF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_apart_gives_the_same_pixels_and_mask(kind, mode):
    if kind == "AVIF" and "avif: frames" not in HOSTILE:
        pytest.skip("this Pillow reads no AVIF")
    data = encoded(noise(60, 40, mode), kind)
    here, there = decode_here(data, "it", Limits()), apart.decode_apart(data, "it", Limits())
    assert there[0].tobytes() == here[0].tobytes()
    assert there[0].size == here[0].size
    assert (there[1] is None) == (here[1] is None) == (mode == "RGB")
    if here[1] is not None:
        np.testing.assert_array_equal(there[1], here[1])


def test_large_webp_and_all_tiffs_are_decoded_apart(monkeypatch):
    asked = []
    monkeypatch.setattr(
        apart, "_ask", lambda process, job, encoded: asked.append(job) or ({"error": ["no", "", ""]}, b"")
    )
    assert not apart.must_be_apart(encoded(noise(60, 40), "WEBP"))
    for options in ({}, {"lossless": True}, {"exif": b"Exif\0\0"}):
        assert not apart.must_be_apart(encoded(flat(2000, 3000), "WEBP", **options))
        assert apart.must_be_apart(encoded(flat(2001, 3000), "WEBP", **options))
    with pytest.raises(ImageError, match="no"):
        open_image(encoded(noise(60, 40), "TIFF"))
    assert [job["name"] for job in asked] == ["the image"]


def test_errors_of_the_other_process_are_those_of_this_one():
    cut = encoded(noise(64, 64), "TIFF")[:-800]
    for picture, said in [(cut, "holiday is broken or cut short"), (encoded(flat(99, 2), "TIFF"), "at least 8 pixels")]:
        with pytest.raises(ImageError, match=said) as there:
            open_image(picture, name="holiday")
        with pytest.raises(ImageError) as here:
            decode_here(picture, "holiday", Limits())
        assert str(there.value) == str(here.value)


def test_a_waiting_process_that_was_ended_costs_no_picture():
    picture = encoded(noise(64, 64), "TIFF")
    open_image(picture)
    ended = apart._idle[-1]
    ended.kill()
    ended.wait()
    assert open_image(picture).size == (64, 64)
    assert ended not in apart._idle


def test_a_process_is_ended_by_the_clock(monkeypatch):
    monkeypatch.setattr(apart, "_PATIENCE", 0.2)
    running = apart._started()
    monkeypatch.setattr(apart, "_idle", [running])
    with pytest.raises(ImageError, match="takes more than 2 seconds"):
        open_image(HOSTILE["tiff: tiles of a pixel"]())
    assert running.returncode is not None
    assert apart._idle == []


def test_threads_share_the_waiting_processes():
    data, seen = [encoded(flat(30, 20).point(lambda v, n=n: n), "TIFF") for n in range(24)], {}

    def work(number: int) -> None:
        seen[number] = open_image(data[number]).getpixel((0, 0))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(data))]
    for first in range(0, len(threads), 3):
        for thread in threads[first : first + 3]:
            thread.start()
        for thread in threads[first : first + 3]:
            thread.join()
    assert seen == {number: (number,) * 3 for number in range(24)}
    assert len({process.pid for process in apart._idle}) == len(apart._idle)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_a_device_is_no_picture(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(ImageError, match="it is not a file"):
            open_image(path)


def test_too_many_bytes_are_not_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as stream:
        stream.truncate(limits.MAX_BYTES + 1)
    with pytest.raises(ImageError, match="more bytes than any picture needs"):
        open_image(tmp_path / "a.png")


def test_in_a_data_set_a_hostile_picture_is_skipped_named_and_counted(tmp_path):
    names = ["jpeg: last scan 400 times", "png: empty chunks", "tiff: a directory of itself"]
    (tmp_path / "n02121808").mkdir()
    for number, name in enumerate(names):
        (tmp_path / "n02121808" / f"{number}.png").write_bytes(HOSTILE[name]())
    (tmp_path / "n02121808" / "9.png").write_bytes(encoded(noise(20, 20), "PNG"))
    samples = load_samples(tmp_path)
    assert [sample.key for sample in samples] == ["n02121808/9.png"]
    assert [reason.split(" of ")[0] for reason in samples.skipped] == [f"n02121808/{n}.png" for n in range(3)]


def test_nothing_of_pillow_is_changed():
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert ImageFile.MAXBLOCK == 65536

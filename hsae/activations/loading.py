"""Images as pixels, decoded while the backbone works on the ones before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice

import torch
from torch import Tensor

from hsae.backbones.base import Backbone, Preprocessing
from hsae.data.ahead import done_ahead
from hsae.data.sample import Sample, View
from hsae.data.samples import Samples
from hsae.data.stream import SampleStream
from hsae.errors import InputError

MOST_WORKERS = 16
BATCHES_AHEAD = 2

Batch = tuple[list[tuple[int, Sample]], Tensor]
"""Rows with their samples, cropped to what the backbone sees, and their pixels `[batch, 3, height, width]`."""


def pixel_batches(
    backbone: Backbone, samples: Samples | SampleStream, rows: range, batch_size: int, workers: int
) -> Iterator[Batch]:
    """Batches of the whole samples among `rows`, the next ones being decoded while the caller works on this one."""
    decoded = samples.rows(rows.start, rows.stop, workers=workers, see=square(backbone.preprocessing))
    whole = ((row, sample) for row, sample in decoded if sample is not None)

    def load(_: int) -> Batch | None:
        batch = list(islice(whole, batch_size))
        return (batch, backbone.preprocessing([sample.image for _, sample in batch])) if batch else None

    for batch in done_ahead(load, count(), 1, ahead=BATCHES_AHEAD):
        if batch is None:
            return
        yield batch


def square(preprocessing: Preprocessing) -> View:
    """Keeps of a sample only what the backbone sees of its image: less to hold, and scaled where it is decoded."""

    def see(sample: Sample) -> Sample:
        return replace(sample, image=preprocessing.crop(sample.image), mask=None)

    return see


def decoders(workers: int | None, device: torch.device) -> int:
    """How many threads decode: `workers`, by default every core of this process but one where a GPU does the rest.

    A backbone on the CPU is a hundred times slower than a decoder: one thread ahead of it, which is always there, feeds
    it. Raises InputError for a negative number.
    """
    if workers is not None and workers < 0:
        raise InputError(f"{workers} workers", "0 or more threads, or None for the default")
    if workers is not None or device.type == "cpu":
        return workers or 0
    cores = (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(0, min(cores - 1, MOST_WORKERS))

"""What a run shows: numbers in the bar, points for accelerate's trackers, curves that can be looked at."""

from __future__ import annotations

import io
import json
import re
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker, on_main_process
from PIL import Image

from hsae.activations.store import ActivationStore
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.summary import live_numbers, write_summary
from hsae.sae.train import train_bank
from tests.synthetic import planted, write_store

SAE, TRAIN = SAEConfig(d_sae=48, k=4), TrainConfig(epochs=2, batch_size=64, log_every=5)


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    x, _ = planted(640, 16, 24, 3)
    return write_store(tmp_path / "acts", {"block_01": x.unsqueeze(1), "block_02": x.flip(0).unsqueeze(1)})


class Recorder(GeneralTracker):
    """A tracker that keeps what it is given."""

    name, requires_logging_directory = "recorder", False

    def __init__(self) -> None:
        super().__init__()
        self.points: dict[int, dict[str, float]] = {}

    @property
    def tracker(self) -> dict[int, dict[str, float]]:
        return self.points

    @on_main_process
    def store_init_configuration(self, values: dict[str, object]) -> None: ...

    @on_main_process
    def log(self, values: dict[str, float], step: int | None = None, **_: object) -> None:
        self.points[step] = values


def test_trackers_get_every_layers_numbers(store: ActivationStore) -> None:
    recorder = Recorder()
    accelerator = Accelerator(cpu=True, log_with=recorder)
    accelerator.init_trackers("hsae")
    train_bank(store, SAE, TRAIN, accelerator=accelerator, progress=False)
    assert list(recorder.points) == [5, 10, 15, 20]
    names = {f"{layer}/{key}" for layer in store.layers for key in ("loss", "fvu", "l0", "dead")}
    assert all(set(values) == names for values in recorder.points.values())


def test_the_bar_shows_vectors_per_second_and_every_layer(store: ActivationStore) -> None:
    shown = io.StringIO()
    with redirect_stderr(shown):
        train_bank(store, SAE, TRAIN)
    last = shown.getvalue().split("\r")[-1]
    assert "1.28k/1.28k" in last
    assert "vector/s" in last
    assert re.search(r"fvu \.\d\d \.\d\d \| l0 4 4 \| dead 0 0 %", last)


def test_on_a_terminal_each_number_has_its_line(store: ActivationStore) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    with redirect_stderr(shown):
        train_bank(store, SAE, TRAIN)
    lines = [line.strip("\r\x1b[A ") for line in shown.getvalue().splitlines()]
    for pattern in (r"SAEs: 100%.*", r"fvu \.\d\d \.\d\d", "l0 4 4", "dead 0 0 %"):
        assert any(re.fullmatch(pattern, line) for line in lines), pattern


def test_live_numbers_by_hand() -> None:
    values = {"fvu": 0.25, "l0": 3.0, "dead": 0.1}
    measured = {n: {k: torch.tensor(v * s) for k, v in values.items()} for n, s in (("a", 1.0), ("b", 3.0))}
    assert live_numbers(measured) == ["fvu .25 .75", "l0 3 9", "dead 10 30 %"]


def test_curves_are_drawn_where_the_numbers_say(tmp_path: Path) -> None:
    """A falling FVU: dark pixels at the top left and bottom right of the first panel, not at the bottom left."""
    history = [{"step": s, "layers": {"a": {"fvu": 1 - s / 10, "l0": 4.0, "dead": 0.0}}} for s in range(1, 11)]
    write_summary(tmp_path, {"k": 4}, history)
    with Image.open(tmp_path / "summary.png") as image:
        pixels = torch.tensor(np.array(image.convert("L")))
    panel = pixels[30:210, 50:340] < 230
    inside = panel[3:-3, 3:-3]
    assert inside[:60, :110].any()
    assert inside[120:, 200:].any()
    assert not inside[120:, :110].any()
    assert json.loads((tmp_path / "summary.json").read_text())["final"]["a"]["l0"] == 4.0

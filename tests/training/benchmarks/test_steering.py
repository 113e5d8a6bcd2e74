from __future__ import annotations

import re
import time

import pytest

from hsae.artifacts.artifact import Artifact
from hsae.data.samples import load_samples
from hsae.session import Session
from training.benchmarks.steering import best, report


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_time_is_the_best_of_interleaved_rounds_and_sleep_is_free():
    order: list[str] = []

    def first() -> None:
        order.append("first")
        busy(0.02 if len(order) == 1 else 0.001)

    def second() -> None:
        order.append("second")
        time.sleep(0.02)

    found = best({"first": first, "second": second}, 3)
    assert order == ["first", "second"] * 3
    assert 0.001 <= found["first"] < 0.015
    assert found["second"] < 0.01


@pytest.mark.slow
def test_a_slider_costs_only_the_layers_after_it(focus):
    session = Session(Artifact.load("starter"))
    lines = report(session.set_image(load_samples("starter").read(0).image), rounds=5)
    shares = {m[1]: int(m[2]) for line in lines if (m := re.match(r"update at (\w+) .* (\d+)%", line))}
    assert list(shares) == list(session.artifact.layers)
    assert shares["block_11"] < 25
    assert shares["block_06"] < 65
    assert "4.74 MB a photograph, 94.7 MB for 20 visitors" in lines[-1]

"""Many visitors at once: python -m tests.load_test [--visitors 20] [--seconds 120] [--artifact FOLDER_OR_ID].

Every visitor asks about a photograph and an edit of its own, and compares each answer with the one it got alone. They
speak plain HTTP, since twenty of gradio's Python clients take more of the processor than the server that they ask.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hsae.artifacts.artifact import Artifact
from hsae.steering.edits import Edit
from tests.page_client import PageClient, Refused
from tests.running_app import running_process

TOLERANCE = 1e-4


@dataclass
class Tally:
    """What all visitors met."""

    seconds: list[float] = field(default_factory=list)
    """How long each answer took."""
    problems: Counter[str] = field(default_factory=Counter)
    """Answers that were not one's own, and errors, by what they say."""
    full: Counter[str] = field(default_factory=Counter)
    """Requests sent away because too many were waiting, by what the visitor was told."""
    memory: list[int] = field(default_factory=list)
    """Of the server, in kB, twice a second."""

    @property
    def growth(self) -> float:
        """Memory at the end over memory in the middle, less 1."""
        n = max(1, len(self.memory) // 10)
        middle = len(self.memory) // 2
        return float(np.mean(self.memory[-n:]) / np.mean(self.memory[middle : middle + n])) - 1


class Visitor:
    """One photograph, one edit, and three questions about them, from an address of one's own."""

    def __init__(self, number: int, address: str, artifact: Artifact) -> None:
        colours, photo = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8), BytesIO()
        Image.fromarray(colours).resize((320, 240), Image.Resampling.NEAREST).save(photo, "PNG")
        layer = artifact.layers[number % len(artifact.layers)]
        dead = artifact.latents(layer)["dead"]
        alive = dead.index[~dead]
        latent = int(alive[number % len(alive)])
        edit = Edit(layer, ({"latent": latent, "mode": "add", "amount": 1 + number / 10},)).to_json()
        self.questions = (("classes", (layer, 4)), ("latents", (layer, 5)), ("steer", (edit, False)))
        self.photo = photo.getvalue()
        self.client = PageClient(address, number)
        self.alone: list[Any] = []

    def ask(self, at: int) -> Any:
        name, rest = self.questions[at]
        return self.client.answer(name, self.client.upload("photo.png", self.photo), "", *rest)

    def stay(self, until: Callable[[], bool], tally: Tally) -> None:
        """Ask one question after the other, as long as there is time."""
        at = 0
        while not until():
            start = time.perf_counter()
            try:
                answer = self.ask(at % 3)
            except Exception as error:
                if isinstance(error, Refused) and "are waiting already" in str(error):
                    tally.full[str(error)] += 1
                    time.sleep(0.2)
                    continue
                tally.problems[f"{type(error).__name__}: {error}"[:200]] += 1
                continue
            tally.seconds.append(time.perf_counter() - start)
            if not same(answer, self.alone[at % 3]):
                tally.problems["the answer is not one's own"] += 1
            at += 1


def same(one: Any, other: Any) -> bool:
    """Equal but for the last digits of numbers, which depend on what else the processor does."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float | int):
        return abs(one - other) <= TOLERANCE * max(1, abs(one))
    return one == other


def crowd(address: str, pid: int, artifact: Artifact, visitors: int, seconds: float) -> Tally:
    """Everybody asks for so many seconds."""
    people = [Visitor(n, address, artifact) for n in range(visitors)]
    for one in people:
        one.alone = [one.ask(at) for at in range(3)]
    tally, end = Tally(), time.monotonic() + seconds

    def over() -> bool:
        return time.monotonic() > end

    watch = threading.Thread(target=_watch, args=(pid, over, tally))
    watch.start()
    with ThreadPoolExecutor(visitors) as pool:
        for done in [pool.submit(one.stay, over, tally) for one in people]:
            done.result()
    watch.join()
    return tally


def _watch(pid: int, over: Callable[[], bool], tally: Tally) -> None:
    while not over():
        status = Path(f"/proc/{pid}/status").read_text()
        tally.memory.append(int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]))
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--artifact", default="starter")
    options = parser.parse_args()
    artifact = Artifact.load(options.artifact)
    with (
        tempfile.TemporaryDirectory() as name,
        running_process(Path(name) / "log.txt", "--artifact", options.artifact) as (address, pid),
    ):
        tally = crowd(address, pid, artifact, options.visitors, options.seconds)
    low, middle, high = np.percentile(tally.seconds, [5, 50, 95])
    print(f"{len(tally.seconds)} answers, {len(tally.seconds) / options.seconds:.1f} a second")
    print(f"seconds for an answer: {middle:.2f} (5 % under {low:.2f}, 5 % over {high:.2f})")
    print(f"memory: {tally.memory[0] / 1e3:.0f} MB at first, at most {max(tally.memory) / 1e3:.0f} MB,", end=" ")
    print(f"from the middle to the end {tally.growth:+.1%}")
    print(f"sent away: {dict(tally.full)}\nproblems: {dict(tally.problems)}")


if __name__ == "__main__":
    main()

"""What a move of a slider costs against a full forward pass: python -m training.benchmarks.steering [ARTIFACT]

One photograph, one edit of the class token per layer; best of interleaved rounds, in seconds of processor time, so that
whatever else runs on the machine counts for neither. `update` is `Session.steer`: encode, edit, the layers after it,
classes before and after. The memory of a photograph is printed for one visitor and for twenty.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch

from hsae.artifacts.artifact import Artifact
from hsae.data.samples import load_samples
from hsae.errors import HsaeError
from hsae.session import Session
from hsae.steering.edits import Edit, Op, Scope

VISITORS = 20


def main(arguments: list[str]) -> int:
    """Print one line per layer; errors a user can cause are one sentence and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m training.benchmarks.steering", description=__doc__)
    parser.add_argument("artifact", nargs="?", default="starter")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args(arguments)
    try:
        session = Session(Artifact.load(options.artifact)).set_image(load_samples("starter").read(0).image)
        print("\n".join(report(session, options.rounds)))
    except HsaeError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def report(session: Session, rounds: int) -> list[str]:
    """A full forward pass, every layer's update as a share of it, and the memory of the activations."""
    pixels = session.backbone.pixels([session.crop])
    updates = {layer: partial(session.steer, _edit(session, layer)) for layer in session.artifact.layers}
    with torch.no_grad():
        cost = best({"forward": lambda: session.backbone.run_pixels(pixels), **updates}, rounds)
    forward = cost.pop("forward")
    lines = [f"full forward {1000 * forward:.1f} ms, {torch.get_num_threads()} threads"]
    lines += [f"update at {layer} {1000 * own:.1f} ms = {own / forward:.0%} of it" for layer, own in cost.items()]
    one = session.n_bytes / 1e6
    return [*lines, f"activations {one:.2f} MB a photograph, {VISITORS * one:.1f} MB for {VISITORS} visitors"]


def best(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Least processor time of each, over rounds in which all take turns."""
    seconds = dict.fromkeys(work, float("inf"))
    for _ in range(rounds):
        for name, run in work.items():
            start = time.process_time()
            run()
            seconds[name] = min(seconds[name], time.process_time() - start)
    return seconds


def _edit(session: Session, layer: str) -> Edit:
    """The photograph's strongest latent turned up by one p999."""
    table = session.active_latents(layer, top=50)
    latent = int(table["latent"][table["p999"] > 0].iloc[0])
    scope: Scope = "cls" if session.class_token == "cls" else "patches"
    return Edit(layer, (Op(latent, "add", 1.0),), scope)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a training run shows: live numbers in the progress bar, trackers, and a summary as JSON and curves."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from hsae.atomic import atomic_path, write_text

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)

CURVES = ("fvu", "l0", "dead")

TOLERANCE = 0.1
"""How far from its target an L0 may end, as a share of it."""


def measured_point(step: int, measured: dict[str, dict[str, Tensor]]) -> dict[str, Any]:
    """{"step", "layers": {name: {loss, fvu, l0, dead}}} as plain numbers, from one step of each layer.

    All of them come from the device together, so that it is waited for once.
    """
    values = iter(torch.stack([v.float() for m in measured.values() for v in m.values()]).tolist())
    return {"step": step, "layers": {name: {key: next(values) for key in m} for name, m in measured.items()}}


def merged_points(points: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Measured points of all layers, from points of some layers each."""
    merged: dict[int, dict[str, Any]] = {}
    for point in points:
        merged.setdefault(point["step"], {}).update(point["layers"])
    return [{"step": step, "layers": layers} for step, layers in sorted(merged.items())]


class TrainingBar:
    """Vectors per second and the time left; with them FVU, L0 and dead share of every layer, in turn.

    On a terminal each of the three has a line of its own, so that many layers fit.
    """

    def __init__(self, total: int, initial: int, shown: bool) -> None:
        self.bar = tqdm(total=total, initial=initial, unit="vector", unit_scale=True, desc="SAEs", disable=not shown)
        places = range(1, 1 + len(CURVES)) if shown and sys.stderr.isatty() else ()
        self.lines = [tqdm(bar_format="{desc}", position=place) for place in places]

    def __enter__(self) -> TrainingBar:
        return self

    def __exit__(self, *_: object) -> None:
        for part in (self.bar, *self.lines):
            part.close()

    def advance(self, n_tokens: int) -> None:
        """Count tokens as done."""
        self.bar.update(n_tokens)

    def show(self, measured: dict[str, dict[str, float]]) -> None:
        """Show the newest numbers `{layer: {fvu, l0, dead}}`."""
        texts = live_numbers(measured)
        for line, text in zip(self.lines, texts, strict=False):
            line.set_description_str(text)
        if not self.lines:
            self.bar.set_postfix_str(" | ".join(texts), refresh=False)


def live_numbers(measured: dict[str, dict[str, float]]) -> list[str]:
    """FVU, L0 and dead share (in per cent) of every layer in turn."""
    fvu, l0, dead = ([m[key] for m in measured.values()] for key in CURVES)
    shares = [f"{value:.2f}".removeprefix("0") for value in fvu]
    return [f"fvu {' '.join(shares)}", f"l0 {_whole(l0)}", f"dead {_whole(100 * share for share in dead)} %"]


def _whole(values: Iterable[float]) -> str:
    return " ".join(f"{value:.0f}" for value in values)


def log_point(accelerator: Accelerator | None, point: dict[str, Any]) -> None:
    """Hand a measured point to the trackers that accelerate's `log_with` started, if any."""
    if accelerator and accelerator.trackers:
        values = {f"{name}/{key}": v for name, layer in point["layers"].items() for key, v in layer.items()}
        accelerator.log(values, step=point["step"])


def off_target(final: dict[str, float], target: float | None) -> str:
    """What to say of a layer whose L0 ended more than TOLERANCE from its target; nothing of one that hit it."""
    l0 = final.get("l0_finished", final["l0"])
    if target is None or abs(l0 / target - 1) <= TOLERANCE:
        return ""
    return f"L0 {l0:.1f}, {abs(l0 / target - 1):.0%} {'above' if l0 > target else 'below'} its target {target:g}"


def off_targets(history: list[dict[str, Any]], target: float | None) -> dict[str, str]:
    """What to say of the layers that missed the L0 that training aimed at, by name; each is also logged."""
    final = history[-1]["layers"] if history else {}
    missed = {name: text for name, layer in final.items() if (text := off_target(layer, target))}
    for name, text in missed.items():
        log.warning("%s: %s", name, text)
    return missed


def write_summary(
    folder: Path, settings: dict[str, Any], history: list[dict[str, Any]], missed: dict[str, str] | None = None
) -> None:
    """Write summary.json (settings, last values, all points) and summary.png (curves by step) atomically.

    missed: what `off_targets` says, which stands under `off_target`.
    """
    final = history[-1]["layers"] if history else {}
    summary = {"settings": settings, "final": final, "off_target": missed or {}, "history": history}
    text = json.dumps(summary, indent=1)
    write_text(folder / "summary.json", text + "\n")
    if len(history) > 1:
        with atomic_path(folder / "summary.png") as temporary:
            _draw(history).save(temporary, format="PNG")


def _draw(history: list[dict[str, Any]], width: int = 360, height: int = 240) -> Any:
    """One panel per curve, one line per layer, from light (first layer) to dark (last)."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width * len(CURVES), height), "white")
    draw = ImageDraw.Draw(image)
    steps, names = [point["step"] for point in history], list(history[-1]["layers"])
    for panel, key in enumerate(CURVES):
        lines = [[point["layers"][name][key] for point in history] for name in names]
        top = max(max(line) for line in lines) or 1.0
        left, bottom = panel * width + 50, height - 30
        draw.rectangle((left, 30, left + width - 70, bottom), outline="#999999")
        draw.text((left, 12), f"{key}   0 .. {top:.3g},   steps 0 .. {steps[-1]}", fill="black")
        for number, line in enumerate(lines):
            places = zip(steps, line, strict=True)
            path = [(left + (width - 70) * s / steps[-1], bottom - (bottom - 30) * v / top) for s, v in places]
            draw.line(path, fill=_shade(number, len(names)), width=2)
    return image


def _shade(number: int, of: int) -> tuple[int, int, int]:
    share = number / max(1, of - 1)
    light, dark = (158, 202, 225), (8, 48, 107)
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(light, dark, strict=True))
    return red, green, blue

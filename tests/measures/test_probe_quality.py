"""A probe's quality is that of all features at once, which are never in memory together."""

import sys

import pytest
import torch

from hsae.measures.calibration import calibration_error
from hsae.measures.probe_quality import probe_quality
from hsae.measures.probes import LinearProbe
from tests.measures.test_calibration import judged
from training.memory import forget_peak, resident


def noisy(n: int, d_in: int = 8, n_classes: int = 7):
    """A probe that is often right and often wrong, and a third of the images without a label."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d_in, generator=generator)
    W = torch.randn(d_in, n_classes, generator=generator)
    labels = (x @ W + 3 * torch.randn(n, n_classes, generator=generator)).argmax(-1)
    labels[::3] = -1
    return LinearProbe(W, torch.zeros(n_classes), torch.zeros(d_in), torch.ones(d_in), temperature=0.7), x, labels


def test_rows_at_a_time_give_what_all_at_once_give():
    probe, x, labels = noisy(5000)  # four batches and a part of one
    found = probe_quality(probe, x, labels, lambda part: part.abs())
    features, known = x.abs(), labels >= 0
    assert found.acc1 == pytest.approx(probe.accuracy(features, labels), abs=1e-7)
    assert found.acc5 == pytest.approx(probe.accuracy(features, labels, 5), abs=1e-7)
    assert found.ece == pytest.approx(
        calibration_error(*judged(probe.logits(features[known]).softmax(-1), labels[known]))
    )
    plain = probe_quality(probe, x, labels)
    assert 0.2 < plain.acc1 < plain.acc5 < 1
    assert plain.acc1 > found.acc1 + 0.1, "the reading decides"
    assert plain.ece > 0.05


def test_few_classes_have_no_fifth_and_no_image_no_quality():
    probe, x, labels = noisy(50, n_classes=3)
    assert probe_quality(probe, x, labels).acc5 == 1
    nothing = probe_quality(probe, x[:0], labels[:0])
    unlabelled = probe_quality(probe, x, torch.full_like(labels, -1))
    assert all(value != value for found in (nothing, unlabelled) for value in (found.acc1, found.acc5, found.ece))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks of memory are Linux's")
def test_features_of_all_rows_are_never_in_memory_together():
    probe, x, labels = noisy(60_000, d_in=2048)
    wide = torch.ones(1, 2048)
    narrow, size = x[:, :1].clone(), 4 * x.numel()
    del x

    def grown(work) -> int:
        work()  # what the first call sets up for good is not counted
        forget_peak()
        before = resident(peak=False)
        work()
        return resident(peak=True) - before

    assert grown(lambda: probe_quality(probe, narrow, labels, lambda part: part @ wide)) < 0.3 * size
    assert grown(lambda: probe.accuracy(narrow @ wide, labels)) > size

"""Calibrated probabilities say how often a class is right."""

import pytest
import torch

from hsae.measures.calibration import calibrating_temperature, calibration_error


def drawn(temperature: float, n: int = 20_000, n_classes: int = 5):
    """Logits, and labels drawn from softmax(logits / temperature): calibrated at that temperature alone."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(n, n_classes, generator=generator)
    return logits, torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]


def judged(probabilities: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How likely each image's likeliest class is, and whether it is right."""
    confidence, guess = probabilities.max(-1)
    return confidence, guess == labels


@pytest.mark.parametrize("planted", [0.4, 1.0, 3.0])
def test_the_planted_temperature_is_found_and_calibrates(planted):
    logits, labels = drawn(planted)
    found = calibrating_temperature(logits[:10_000], labels[:10_000])
    assert found == pytest.approx(planted, rel=0.05)
    held, truth = logits[10_000:], labels[10_000:]
    assert calibration_error(*judged((held / found).softmax(-1), truth)) < 0.02
    if planted != 1:
        assert calibration_error(*judged(held.softmax(-1), truth)) > 0.1


def test_the_error_by_hand():
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])
    labels = torch.tensor([0, 1, 0, 0])
    by_bin = [abs(0.9 - 0.5) * 2, abs(0.6 - 1), abs(0.7 - 0)]
    assert calibration_error(*judged(probabilities, labels)) == pytest.approx(sum(by_bin) / 4)


def test_certainty_and_nothing():
    sure = torch.eye(3)
    assert calibration_error(*judged(sure, torch.arange(3))) == 0
    assert calibration_error(*judged(sure, torch.tensor([1, 2, 0]))) == 1
    assert calibrating_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long)) == 1
    assert 0.05 <= calibrating_temperature(10 * sure, torch.arange(3)) < 0.1

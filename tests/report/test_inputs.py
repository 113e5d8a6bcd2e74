"""What the measures of a layer are given."""

from __future__ import annotations

import torch

from hsae.report.inputs import LabelledActivations


def test_some_images_are_random_ones_in_order_with_their_labels_and_the_same_every_time():
    labels = torch.arange(40)
    images = LabelledActivations(labels[:, None, None].float().expand(40, 3, 2), labels)
    some = images.some(12)
    chosen = some.labels.tolist()
    assert len(chosen) == 12
    assert chosen == sorted(set(chosen))
    assert chosen != list(range(12))
    assert torch.equal(some.x[:, 2, 1], some.labels.float())
    assert torch.equal(images.some(12).labels, some.labels)
    assert images.some(None) is images.some(40) is images

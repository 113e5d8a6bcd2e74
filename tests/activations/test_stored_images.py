"""Images on the disk give what images in memory give, every token once an epoch, and only a pool of them at a time."""

from __future__ import annotations

import sys

import pytest
import torch

import hsae.activations.stored_images as stored_images
from hsae.activations.store import ActivationStore
from hsae.activations.stored_images import StoredImages
from hsae.errors import InputError
from hsae.measures.moments import moments
from hsae.measures.probes import ProbeSettings, fit_examples, fit_probe
from hsae.measures.wordnet.node_probes import fit_node_probes, stream_node_probes
from tests.synthetic import write_store
from training.memory import forget_peak, resident

MEMBERS = torch.tensor([[1, 1, 0], [0, 1, 1]], dtype=torch.bool)


def labelled(n: int, tokens: int = 1, d: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes around centres of their own, every tenth without a label."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    centres = 2 * torch.randn(3, 1, d, generator=generator) + 5
    x = torch.randn(n, tokens, d, generator=generator).add_(centres[labels])
    return x, torch.where(torch.arange(n) % 10 == 9, -1, labels)


@pytest.fixture
def opened(tmp_path) -> tuple[StoredImages, torch.Tensor, torch.Tensor]:
    x, labels = labelled(1000, tokens=2)
    store = write_store(tmp_path / "store", {"other": x[..., :1] * 0, "layer": x}, labels=labels)
    images = torch.arange(1000)[torch.arange(1000) % 7 > 0]
    return StoredImages(store, "layer", images, labels[images]), x[images], labels[images]


def test_parts_are_the_images_in_order(opened):
    stored, x, labels = opened
    read = list(stored.parts())
    assert torch.equal(torch.cat([part for part, _ in read]), x)
    assert torch.equal(torch.cat([part for _, part in read]), labels)
    assert torch.equal(torch.cat(list(stored.rows(50))), x.flatten(0, 1))
    assert all(len(part) <= 50 for part in stored.rows(50))
    some = stored.subset(labels == 1)
    assert torch.equal(torch.cat([part for part, _ in some.parts()]), x[labels == 1])
    assert len(stored.known) == 2 * (labels >= 0).sum()


@pytest.mark.parametrize("pool_tokens", [100, 10**6])
def test_an_epoch_has_every_token_once_with_the_label_of_its_image(opened, monkeypatch, pool_tokens):
    stored, x, labels = opened
    monkeypatch.setattr(stored_images, "POOL_BYTES", pool_tokens * 4 * x.shape[-1])
    label_of = {tuple(token.tolist()): int(label) for image, label in zip(x, labels, strict=True) for token in image}
    batches = list(stored.epochs(2, 64, seed=0))
    assert len(batches) == 2 * stored.steps(64)
    orders = []
    for epoch in (batches[: stored.steps(64)], batches[stored.steps(64) :]):
        tokens = [tuple(token.tolist()) for part, _ in epoch for token in part]
        assert len(set(tokens)) == len(tokens) > len(stored) - 64
        assert [label_of[token] for token in tokens] == torch.cat([part for _, part in epoch]).tolist()
        orders.append(tokens)
    assert orders[0] != orders[1]


def test_moments_and_node_probes_are_those_of_all_at_once(opened):
    stored, x, labels = opened
    apart, whole = moments(part.flatten(0, 1) for part, _ in stored.parts()), x.flatten(0, 1).double()
    torch.testing.assert_close(apart.mean, whole.mean(0))
    torch.testing.assert_close(apart.covariance, torch.cov(whole.T, correction=0))
    streamed = stream_node_probes(((part.mean(1), own) for part, own in stored.parts()), MEMBERS)
    at_once = fit_node_probes(x.mean(1), labels, MEMBERS)
    torch.testing.assert_close(streamed.W, at_once.W)
    torch.testing.assert_close(streamed.mean, at_once.mean)


def test_a_probe_reads_as_well_from_the_disk(opened):
    stored, x, labels = opened
    held = labelled(300, tokens=1)
    held_x, truth = held[0].flatten(0, 1)[held[1] >= 0], held[1][held[1] >= 0]
    tokens, each = x.flatten(0, 1), labels.repeat_interleave(2)
    at_once = fit_probe(tokens, each, 3, choice=(held_x, truth)).accuracy(held_x, truth)
    streamed = fit_examples(stored.known, (held_x, truth), 3).accuracy(held_x, truth)
    assert streamed == pytest.approx(at_once, abs=0.02)
    assert streamed > 0.95
    shuffled = StoredImages(stored.store, "layer", stored.images, labels[torch.randperm(len(labels))])
    assert fit_examples(shuffled.known, (held_x, truth), 3).accuracy(held_x, truth) < 0.7


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks of memory are Linux's")
def test_all_rows_are_never_in_memory_together(tmp_path, monkeypatch):
    x, labels = labelled(60_000, d=256)
    size = 4 * x.numel()
    folder = write_store(tmp_path / "store", {"layer": x}, shard_rows=1000, labels=labels).folder
    del x
    monkeypatch.setattr(stored_images, "POOL_BYTES", size // 16)

    def grown(work) -> int:
        """Bytes that some work on a freshly opened store needs at its peak."""
        store = ActivationStore(folder)
        forget_peak()
        before = resident(peak=False)
        work(store)
        return resident(peak=True) - before

    def stream(store: ActivationStore) -> None:
        stored = StoredImages(store, "layer", torch.arange(len(store)), store.labels)
        moments(part.flatten(0, 1) for part, _ in stored.parts())
        stream_node_probes(((part.mean(1), own) for part, own in stored.parts()), MEMBERS)
        few = ProbeSettings(penalties=(0.01,), epochs=1)
        fit_examples(stored.known, (torch.zeros(3, 256), torch.arange(3)), 3, settings=few)

    grown(stream)  # what libraries load at first use
    assert min(grown(stream) for _ in range(3)) < 0.7 * size  # a process that ran other tests has holes in its memory
    assert size < grown(lambda store: store.layer("layer")) < 1.5 * size  # once, and not twice


def test_images_of_different_sizes_are_refused(tmp_path):
    store = write_store(tmp_path / "store", {"layer": torch.zeros(4, 2, 3)}, shard_rows=2)
    store.shard_shapes[1] = (2, 5)
    with pytest.raises(InputError, match=r"\[2, 5\] tokens"):
        StoredImages(store, "layer", torch.arange(4), store.labels)

"""What the sampler promises: same tokens for all layers, once an epoch, an order of its own, bounded memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsae.activations.sampler import TokenSampler
from hsae.activations.store import ActivationStore
from hsae.errors import InputError
from tests.synthetic import write_store

LAYERS = ("block_01", "block_02")


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    """Token number t is the vector (t, t) in block_01 and (-t, -t, -t) in block_02; 300 tokens, 5 shards."""
    numbers = torch.arange(300.0).view(150, 2, 1)
    return write_store(
        tmp_path / "store",
        {"block_01": numbers.expand(-1, -1, 2), "block_02": -numbers.expand(-1, -1, 3)},
        shard_rows=32,
    )


def sampler(store: ActivationStore, **options: int) -> TokenSampler:
    return TokenSampler(store, LAYERS, **{"batch_size": 32, "buffer_tokens": 100, **options})


def order(source: TokenSampler, epoch: int) -> torch.Tensor:
    return torch.cat([batch["block_01"][:, 0] for batch in source.epoch(epoch)])


def test_every_layer_gets_the_same_tokens(store: ActivationStore) -> None:
    for batch in sampler(store).epoch(0):
        assert batch["block_01"].shape == (32, 2)
        assert batch["block_02"].shape == (32, 3)
        assert torch.equal(batch["block_01"][:, 0], -batch["block_02"][:, 0])


@pytest.mark.parametrize("buffer_tokens", [1, 100, 10_000])
def test_an_epoch_has_every_token_once_but_for_the_incomplete_batch(store: ActivationStore, buffer_tokens: int) -> None:
    source = sampler(store, buffer_tokens=buffer_tokens)
    seen = order(source, 3)
    assert len(seen) == source.batches_per_epoch * 32 == 288
    assert len(seen.unique()) == 288


def test_the_order_depends_on_seed_and_epoch_only(store: ActivationStore) -> None:
    assert torch.equal(order(sampler(store, seed=1), 2), order(sampler(store, seed=1), 2))
    assert not torch.equal(order(sampler(store, seed=1), 2), order(sampler(store, seed=1), 3))
    assert not torch.equal(order(sampler(store, seed=1), 2), order(sampler(store, seed=2), 2))
    one_layer = TokenSampler(store, ("block_01",), batch_size=32, buffer_tokens=100, seed=1)
    assert torch.equal(order(one_layer, 2), order(sampler(store, seed=1), 2))


def test_every_image_is_read_once_an_epoch_and_few_are_held(
    store: ActivationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, str, int]] = []
    original = ActivationStore.stored

    def watched(self: ActivationStore, number: int, name: str, images: slice) -> torch.Tensor:
        read.extend((number, name, image) for image in range(images.start, images.stop))
        return original(self, number, name, images)

    monkeypatch.setattr(ActivationStore, "stored", watched)
    batches = sampler(store, buffer_tokens=40).epoch(0)
    next(batches)
    assert len(read) < 30 * len(LAYERS), "a pool of 40 tokens needs 20 images and part of the next run"
    list(batches)
    assert len(read) == len(set(read)) == 150 * len(LAYERS)


def test_an_epoch_goes_on_where_it_stopped(store: ActivationStore) -> None:
    """Wherever that is: pools of 96 and 100 tokens leave different numbers of tokens for the next one."""
    for source in (sampler(store, buffer_tokens=96), sampler(store, batch_size=7)):
        whole = list(source.epoch(1))
        for start in range(len(whole) + 1):
            rest = list(source.epoch(1, start=start))
            assert len(rest) == len(whole) - start
            assert all(torch.equal(a["block_02"], b["block_02"]) for a, b in zip(whole[start:], rest, strict=True))


def test_a_resumed_epoch_does_not_read_what_is_used_up(store: ActivationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = TokenSampler.read
    monkeypatch.setattr(TokenSampler, "read", lambda self, run: read.append(run) or original(self, run))
    source = sampler(store, batch_size=20, buffer_tokens=60)
    list(source.epoch(1, start=source.batches_per_epoch - 1))
    assert len(read) < len(source.run_tokens), "the first pools are not needed"


def test_shares_split_every_batch_between_processes(store: ActivationStore) -> None:
    shares = [TokenSampler(store, LAYERS, batch_size=32, buffer_tokens=100, share=(r, 2)).epoch(0) for r in (0, 1)]
    for whole, *parts in zip(sampler(store).epoch(0), *shares, strict=True):
        together = torch.cat([part["block_01"] for part in parts])
        assert torch.equal(together.sort(dim=0).values, whole["block_01"].sort(dim=0).values)


def test_a_batch_larger_than_the_store_is_refused(store: ActivationStore) -> None:
    with pytest.raises(InputError, match="301 tokens from a store of 300"):
        sampler(store, batch_size=301)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.integers(1, 300), buffer=st.integers(1, 400), seed=st.integers(0, 99), epoch=st.integers(0, 99))
def test_any_batch_and_buffer_size_gives_whole_batches_of_different_tokens(
    store: ActivationStore, batch: int, buffer: int, seed: int, epoch: int
) -> None:
    source = sampler(store, batch_size=batch, buffer_tokens=buffer, seed=seed)
    sizes = [len(found["block_01"]) for found in source.epoch(epoch)]
    assert sizes == [batch] * source.batches_per_epoch
    assert len(order(source, epoch).unique()) == sum(sizes)

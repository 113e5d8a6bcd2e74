"""Work ahead of its reader: in order, bounded, at the same time, and with errors where they belong."""

from __future__ import annotations

import threading
import time

import pytest

from hsae.data.ahead import done_ahead


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_the_order_is_kept(workers):
    def work(item: int) -> int:
        time.sleep(0.001 * (item % 3))
        return item * item

    assert list(done_ahead(work, range(40), workers)) == [item * item for item in range(40)]


def test_no_more_is_begun_than_stated():
    begun = []
    results = done_ahead(lambda item: item, map(lambda item: begun.append(item) or item, range(100)), 2, ahead=3)
    assert next(results) == 0
    assert len(begun) == 6
    results.close()
    assert len(begun) == 6


def test_workers_work_at_the_same_time():
    together = threading.Barrier(3, timeout=300)
    assert list(done_ahead(lambda _: together.wait() >= 0, range(3), 3)) == [True] * 3


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_comes_at_its_place_and_ends_the_threads(workers):
    def work(item: int) -> int:
        if item == 5:
            raise ValueError("item 5")
        return item

    before, seen = threading.active_count(), []
    with pytest.raises(ValueError, match="item 5"):
        seen.extend(iter_into(seen, done_ahead(work, range(1000), workers)))
    assert seen == [0, 1, 2, 3, 4]
    assert threading.active_count() == before


def iter_into(seen: list[int], results) -> list[int]:
    for result in results:
        seen.append(result)
    return []

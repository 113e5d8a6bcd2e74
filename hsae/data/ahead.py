"""Work done ahead of its reader, by several threads, in order and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def done_ahead(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, *, ahead: int = 8
) -> Iterator[Result]:
    """`map(work, items)` by `workers` threads, `ahead` items for each being worked on or waiting; by none, as `map`.

    Decoding and scaling leave the interpreter's lock, so threads share the cores without copying any image. An error
    reaches the reader at the place of the item that caused it, and what was begun after it is dropped.
    """
    if workers < 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= ahead * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)

"""Reading ahead: threads read the next blocks while earlier ones are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def read_ahead(read: Callable[[T], U], indices: Iterable[T], *, workers: int = 1) -> Generator[U]:
    """``read(index)`` of each index, in order, while ``workers`` threads read the next ones.

    An exception in ``read`` is raised where its result would have come. A consumer that stops
    early should close the iterator (:func:`contextlib.closing`), which waits only for reads that
    have begun.
    """
    pending: deque[Future[U]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="read-ahead") as pool:
        try:
            for index in indices:
                pending.append(pool.submit(read, index))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

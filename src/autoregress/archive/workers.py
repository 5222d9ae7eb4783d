"""Processes that code chunks beside each other, as these do not depend on one another.

They are forked, so that the model is shared and nothing is imported again. Where forking is not
safe (other threads, another system than Linux, an accelerator), and on one core, the same work is
done in turn in this process; the results are the same.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")
# Called with a number of symbols.
Coded = Callable[[int], None]

# Seconds between the reports of a process.
REPORT = 0.1


def cores(device: torch.device) -> int:
    """The number of processes to use: one for each of torch's threads (``OMP_NUM_THREADS``)."""
    alone = threading.active_count() == 1 and not multiprocessing.current_process().daemon
    if sys.platform != "linux" or device.type != "cpu" or not alone:
        return 1
    return min(torch.get_num_threads(), len(os.sched_getaffinity(0)))


class Workers(Generic[Task, Result]):
    """Does tasks in several processes, and gives the results in the order of the tasks.

    At most two tasks for each process are under way or done but not yet given back, so that memory
    is bounded.

    Args:
        run: a function from a task to its result, both to be pickled; it calls its second argument
            with the number of symbols at each dimension.
        count: number of processes; with one, ``run`` is called in this one.
        coded: called with numbers of symbols.
    """

    def __init__(self, run: Callable[[Task, Coded], Result], count: int, coded: Coded) -> None:
        self._run, self._count, self._coded = run, count, coded
        self._processes: list[tuple[BaseProcess, Connection]] = []
        self._idle: list[Connection] = []
        self._busy: dict[Connection, int] = {}
        self._done: dict[int, Any] = {}
        self._given = self._taken = 0

    def put(self, task: Task) -> Iterator[Result]:
        """Gives a task away, and yields the next results that are there.

        Raises:
            ValueError: the function raised it for the task whose result is next.
        """
        if self._count == 1:
            yield self._run(task, self._coded)
            return
        while not self._idle and len(self._processes) == self._count:
            self._listen()
        connection = self._idle.pop() if self._idle else self._start()
        connection.send(task)
        self._busy[connection] = self._given
        self._given += 1
        while self._taken in self._done or self._given - self._taken >= 2 * self._count:
            yield self.next()

    def finish(self) -> Iterator[Result]:
        """Yields the results that are left.

        Raises:
            ValueError: as for :meth:`put`.
        """
        while self._taken < self._given:
            yield self.next()
        self.close()

    def close(self) -> None:
        """Ends the processes."""
        for process, connection in self._processes:
            connection.close()
            process.terminate()
            process.join()
        self._processes, self._idle, self._busy = [], [], {}

    def next(self) -> Result:
        """Waits for the next result.

        Raises:
            ValueError: as for :meth:`put`.
        """
        while self._taken not in self._done:
            self._listen()
        result = self._done.pop(self._taken)
        self._taken += 1
        if isinstance(result, ValueError):
            self.close()
            raise result
        return result

    def _start(self) -> Connection:
        context = multiprocessing.get_context("fork")
        own, other = context.Pipe()
        process = context.Process(target=self._serve, args=(own, other), daemon=True)
        with warnings.catch_warnings():
            # Torch's threads are idle, and a process computes in one thread.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        other.close()
        self._processes.append((process, own))
        return own

    def _listen(self) -> None:
        """Takes in what the processes say."""
        for connection in wait(list(self._busy)):
            assert isinstance(connection, Connection)
            try:
                said = connection.recv()
            except EOFError:
                raise ValueError(
                    "a process that codes examples was ended, perhaps for lack of memory; use one "
                    "(OMP_NUM_THREADS=1)"
                ) from None
            if isinstance(said, int):
                self._coded(said)
                continue
            self._done[self._busy.pop(connection)] = said[0]
            self._idle.append(connection)

    def _serve(self, others: Connection, connection: Connection) -> None:
        """Does tasks until the connection is closed."""
        others.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # which is for the process that forked
        while True:
            try:
                task = connection.recv()
            except (EOFError, OSError):
                return
            reporter = _Reporter(connection)
            try:
                result: Any = self._run(task, reporter)
            except ValueError as error:
                result = error
            reporter.flush()
            connection.send((result,))


class _Reporter:
    """Says how many symbols are coded, now and then."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._count, self._last = connection, 0, time.monotonic()

    def __call__(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._last >= REPORT:
            self.flush()

    def flush(self) -> None:
        if self._count:
            self._connection.send(self._count)
        self._count, self._last = 0, time.monotonic()

"""The one thread that computes for all viewers, in turn and within limits.

A question is answered by a generator, whose steps are short. The thread gives each viewer a slice
of time after the other, and each question of a viewer too. So a long answer delays no other one,
and an answer that nobody awaits any longer ends after its current step.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
# The events of an answer, None after a step without one.
Steps = Generator[Event | None, None, None]

SLICE = 0.03  # seconds
LONGEST = 300.0  # seconds of computing for one answer
MOST, MOST_OF_ALL = 16, 512  # open questions of a viewer, and of all


class BusyError(Exception):
    """There are too many open questions."""


@dataclass(eq=False)
class Question:
    """A question of a viewer, and its answer as far as it is computed.

    Attributes:
        viewer: the viewer who asked.
        topic: what it is about; a newer question of the same viewer on it replaces it.
        steps: the answer.
        left: seconds of computing that are left to it.
    """

    viewer: str
    topic: str
    steps: Steps
    loop: asyncio.AbstractEventLoop
    left: float = LONGEST
    events: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)
    unwanted: bool = False

    def advance(self) -> bool:
        """Computes for a slice of time; returns whether the answer has ended."""
        started = now = time.monotonic()
        try:
            while now - started < SLICE:
                if self.unwanted:
                    return self.end()
                event = next(self.steps)
                if event is not None:
                    self._tell(event)
                now = time.monotonic()
        except StopIteration:
            return self.end()
        except (ValueError, ImportError) as error:
            return self.end(str(error))
        except Exception as error:  # a fault of ours, which must not end the thread
            traceback.print_exc(file=sys.stderr)
            return self.end(f"this could not be computed ({type(error).__name__})")
        self.left -= now - started
        if self.left < 0:
            return self.end(f"this takes longer than {LONGEST:.0f} seconds; ask for less")
        return False

    def end(self, error: str | None = None) -> bool:
        """Ends the answer, perhaps by saying why; returns that it has ended."""
        self.unwanted = True
        if error is not None:
            self._tell({"error": error})
        self._tell(None)
        return True

    def _tell(self, event: Event | None) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)


class Worker:
    """The thread, and the questions that await it."""

    def __init__(self) -> None:
        self._open: dict[str, deque[Question]] = {}  # by viewer
        self._turns: deque[str] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after its current step, and all answers at once."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
            for question in itertools.chain(*self._open.values()):
                question.end()

    async def answer(self, viewer: str, topic: str, steps: Steps) -> AsyncGenerator[Event, None]:
        """The events of an answer, as they are computed.

        Raises:
            BusyError: too many questions are open.
        """
        question = Question(viewer, topic, steps, asyncio.get_running_loop())
        self._add(question)
        try:
            while (event := await question.events.get()) is not None:
                yield event
        finally:  # also where the viewer has gone
            question.unwanted = True

    def _add(self, question: Question) -> None:
        with self._changed:
            own = self._open.get(question.viewer, deque())
            for other in own:
                if other.topic == question.topic:
                    other.unwanted = True
            waiting = sum(not other.unwanted for other in own)
            if waiting >= MOST or sum(map(len, self._open.values())) >= MOST_OF_ALL:
                raise BusyError
            if question.viewer not in self._open:
                self._open[question.viewer] = own
                self._turns.append(question.viewer)
            own.append(question)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._turns and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                viewer = self._turns.popleft()
                own = self._open[viewer]
                question = own[0]  # it stays, so that a newer one finds it
            ended = question.advance()
            with self._changed:
                own.rotate(-1)
                if ended:
                    own.remove(question)
                    question.steps.close()
                if own:
                    self._turns.append(viewer)
                else:
                    del self._open[viewer]

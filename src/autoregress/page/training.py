"""A training run as a page follows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from autoregress.page.subjects import Subject
from autoregress.page.workers import Event
from autoregress.training.folder import is_training

EVERY = 0.5  # seconds between two looks at the folder


async def follow(subject: Subject, ended: Callable[[], bool]) -> AsyncIterator[Event]:
    """The epochs of a run, all so far and each later one; whether it trains; and new weights.

    Args:
        ended: whether the server ends; until then, the viewer leaves.
    """
    sent, state = 0, None
    while not ended():
        history, training = await asyncio.to_thread(_look, subject)
        if len(history) < sent:  # trained anew
            sent, state = 0, None
        now = (training, subject.version)
        if len(history) > sent or now != state:
            epochs = [
                [each["epoch"], each["train_nats"], each["valid_nats"], each["seconds"]]
                for each in history[sent:]
            ]
            yield {
                "epochs": epochs,
                "from": sent,
                "training": training,
                "version": subject.version,
                "planned": subject.planned(),
            }
            sent, state = len(history), now
        await asyncio.sleep(EVERY)


def _look(subject: Subject) -> tuple[list, bool]:
    return subject.history(), is_training(subject.run)

"""Chunks that are coded beside each other: the same bytes, in order, in bounded memory."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

import autoregress as ar
from autoregress.archive import reading, writing
from autoregress.archive.workers import Workers, cores
from autoregress.coding import unpack

COUNT = 3000


@pytest.fixture(scope="module")
def model() -> ar.AutoregressiveModel:
    torch.manual_seed(0)
    return ar.MADE(9, symbols=2, hidden=(5,), labels=("a", "b"))


@pytest.fixture(scope="module")
def context() -> Tensor:
    return torch.eye(2)[torch.arange(COUNT) % 2]


@pytest.fixture(scope="module")
def x(model: ar.AutoregressiveModel, context: Tensor) -> Tensor:
    return model.sample(COUNT, context, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=[1, 2, 3])
def processes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    for module in (reading, writing):
        monkeypatch.setattr(module, "cores", lambda _: request.param)
    monkeypatch.setattr(writing, "CHUNK_BYTES", 100)
    monkeypatch.setattr("autoregress.coding.SIDE_BY_SIDE", 128)
    return request.param


@pytest.fixture(scope="module")
def content(model: ar.AutoregressiveModel, x: Tensor, context: Tensor) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "CHUNK_BYTES", 100)
        patch.setattr("autoregress.coding.SIDE_BY_SIDE", 128)
        return ar.encode(model, x, context=context)


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_processes(model, x, context, content, processes):
    done = list[int]()
    found = ar.encode(model, x, context=context, on_progress=lambda n, _: done.append(n))
    assert found == content
    assert done == sorted(done)
    assert done[-1] == x.numel()
    assert torch.equal(ar.decode(model, content), x)
    parts = list(ar.Archive(content, model).parts())
    assert len(parts) > 8
    assert torch.equal(torch.cat([part.x for part in parts]), x)
    assert torch.equal(torch.cat([part.labels for part in parts]), context.argmax(1))  # type: ignore


@pytest.mark.slow
def test_streams_too(model, x, content, processes):
    file = io.BytesIO()
    some = ar.MADE(9, symbols=2, hidden=(5,))
    ar.encode_to(file, some, iter(x.split(100)))
    assert file.getvalue() == ar.encode(some, x)
    read, write = os.pipe()
    with os.fdopen(write, "wb") as out:
        out.write(content)
    with os.fdopen(read, "rb") as come:
        assert torch.equal(torch.stack(list(ar.Archive(come, model))), x)


def test_a_chunk_that_decodes_to_others_ends_the_reading_there(model, x, content, processes):
    archive = ar.Archive(content, model)

    def wrong(model: Any, words: bytes, *args: Any) -> Any:
        return unpack(model, words[:8] + words[4:8] * 5 + words[28:], *args)

    parts = archive.parts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "unpack", wrong)  # as the processes find it when they begin
        with pytest.raises(ValueError, match="differ from the encoded ones"):
            next(parts)
    assert list(parts) == []


def slow_at_first(task: int, coded: Any) -> tuple[int, int]:
    if task % 3 == 0:
        time.sleep(0.05)
    coded(1)
    if task == 7:
        raise ValueError("seven")
    return task, os.getpid()


def test_results_come_in_order_and_few_are_kept():
    said = list[int]()
    workers = Workers(slow_at_first, 2, said.append)
    results = list[tuple[int, int]]()
    for task in range(7):
        for result in workers.put(task):
            results.append(result)
        assert task + 1 - len(results) <= 4
    results.extend(workers.finish())
    assert [task for task, _ in results] == list(range(7))
    assert sum(said) == 7
    ids = {process for _, process in results}
    assert len(ids) == 2
    assert os.getpid() not in ids
    found = list[int]()
    with pytest.raises(ValueError, match="seven"):
        put_all(Workers(slow_at_first, 2, said.append), range(20), found)
    assert found == list(range(7))


def put_all(workers: Workers[int, Any], tasks: Iterable[int], found: list[int]) -> None:
    for task in tasks:
        found.extend(own for own, _ in workers.put(task))
    found.extend(own for own, _ in workers.finish())


def killed(task: int, coded: Any) -> None:
    os._exit(9)


def test_a_process_that_was_ended_is_named():
    workers = Workers(killed, 2, lambda _: None)
    with pytest.raises(ValueError, match="was ended, perhaps for lack of memory"):
        put_all(workers, [0], [])
    workers.close()


def test_cores_are_torch_threads_unless_forking_is_unsafe(monkeypatch):
    cpu = torch.device("cpu")
    assert cores(cpu) == 1  # the tests compute in one thread
    torch.set_num_threads(2)
    try:
        monkeypatch.setattr(threading, "active_count", lambda: 1)
        assert cores(cpu) == min(2, len(os.sched_getaffinity(0)))
        assert cores(torch.device("meta")) == 1
        monkeypatch.setattr(threading, "active_count", lambda: 2)
        assert cores(cpu) == 1
    finally:
        torch.set_num_threads(1)

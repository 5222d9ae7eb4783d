"""The page: its answers are the library's, its server keeps strangers out, and people can use it.

What people do is done in Chromium, whose screenshots are kept in ``tests/artefacts``.
"""

import asyncio
import base64
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from conftest import run
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import autoregress as ar
from autoregress.page.columns import View
from autoregress.page.server import Server, Site, listening, new_token
from autoregress.page.subjects import Subject, found_in
from autoregress.page.workers import MOST, BusyError, Steps, Worker

ARTEFACTS = Path(__file__).parent / "artefacts"
TINY: dict[str, Any] = {
    "width": 8,
    "embedding": 4,
    "heads": (1,),
    "head_width": 4,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "blocks": ((4, 4, 4),),
}


def shop(rows: int, seed: int) -> dict[str, list[Any]]:
    """A table in which the size says the price, nearly, and the country the currency."""
    rng = np.random.default_rng(seed)
    size = rng.choice(["S", "M", "L"], rows)
    price = np.select([size == "S", size == "M"], [10, 20], 30) + rng.integers(-2, 3, rows)
    country = rng.choice(["France", "Japan"], rows)
    day = np.datetime64("2024-01-01") + rng.integers(0, 60, rows)
    return {
        "size": size.tolist(),
        "price": price.tolist(),
        "country": country.tolist(),
        "currency": np.where(country == "Japan", "JPY", "EUR").tolist(),
        "day": [str(each) for each in day],
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model of every kind."""
    folder = tmp_path_factory.mktemp("page") / "runs"
    torch.manual_seed(0)
    digits = ar.data.digits(threshold=8).x
    for name, hidden in (("digits", 32), ("narrow", 8)):
        model = ar.MADE((1, 8, 8), 2, hidden=(hidden,), orderings="any")
        ar.fit(model, digits[:600], batch_size=100, max_epochs=3, quiet=True)
        ar.save(model, folder / name)
    ar.save(ar.PixelCNN((1, 8, 8), 4, layers=1, features=4), folder / "raster")
    ar.save(ar.MADE((3, 4, 4), 8, hidden=(16,), orderings="any"), folder / "colour")
    labelled = ar.MADE(16, 2, hidden=(8,), orderings="any", labels=("one", "two\nlines"))
    ar.save(labelled, folder / "labelled")
    clips = ar.VideoTransformer((4, 1, 8, 8), 2, subscale=(4, 1, 1), **TINY)
    ar.save(clips, folder / "clips")
    ar.Table.fit(
        shop(300, 0),
        run=folder / "shop",
        network={"hidden": (48,), "norm": False, "residual": False, "dropout": 0.0},
        max_epochs=25,
        lr=1e-2,
        quiet=True,
    )
    return folder


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@contextmanager
def serving(site: Site, host: str = "127.0.0.1") -> Iterator[str]:
    """The address of a site that a thread serves."""
    listener = listening(host, 0)
    server = Server(site)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/" + (
            f"{site.token}/" * bool(site.token)
        )
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    subjects = found_in([runs])
    with serving(Site({each.name: each for each in subjects}, ["digits"])) as found:
        yield found


def events(reply: httpx.Response) -> list[dict[str, Any]]:
    """The events of an answer; the last one says that it is whole."""
    *blocks, last = reply.text.removesuffix("\n\n").split("\n\n")
    assert last == "event: end\ndata: {}"
    return [json.loads(block.removeprefix("data: ")) for block in blocks]


class Client(httpx.Client):
    def __init__(self, address: str, viewer: str = "test") -> None:
        super().__init__(base_url=address, headers={"x-viewer": viewer}, timeout=60)

    def ask(self, what: str, subject: str, **given: Any) -> list[dict[str, Any]]:
        reply = self.post(f"api/ask/{what}/{subject}", json=given)
        assert reply.status_code == 200
        return events(reply)


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with Client(address) as made:
        yield made


def text(values: Any) -> str:
    return base64.b64encode(np.asarray(values, np.uint8).tobytes()).decode()


HALF = np.arange(64) < 32
X = ar.data.digits(threshold=8).x[0]


def given(known: Any = HALF, x: Any = X, **more: Any) -> dict[str, Any]:
    return {"x": text(x), "known": text(known), "label": None, **more}


# The answers are the library's


@pytest.mark.slow
def test_nats_and_completions_are_those_of_the_library(client: Client, runs: Path):
    model, known = ar.load(runs / "digits"), torch.from_numpy(HALF).view(1, 8, 8)
    first, *_ = client.ask("measure", "digits", **given())
    nats = model.surprisal(X[None], known=known)
    assert first["bits"] == pytest.approx(float(nats.sum() / np.log(2)))
    assert first["nats"] == pytest.approx(nats.flatten().tolist(), rel=1e-3, abs=1e-6)
    *parts, last = client.ask("complete", "digits", **given(count=5, seed=3))
    drawn = torch.where(known, X, 0).long().expand(5, 1, 8, 8).flatten(1).clone()
    for rows, dims, symbols in (part for event in parts for part in event["draw"]):
        drawn[torch.tensor(rows)[None], torch.tensor(dims)[:, None]] = torch.tensor(symbols)
    generator = torch.Generator().manual_seed(3)
    expected = model.complete(X.expand(5, 1, 8, 8), known, generator=generator)
    assert torch.equal(drawn.view(expected.shape), expected)
    bits = -model.conditional_log_prob(expected, known) / np.log(2)
    assert last["bits"] == pytest.approx(bits.tolist(), rel=1e-4)


@pytest.mark.parametrize("place", [7, 40])
def test_a_pixel_has_the_distribution_given_the_other_known_ones(client, runs, place):
    model = ar.load(runs / "digits")
    others = torch.from_numpy(HALF & (np.arange(64) != place)).view(1, 8, 8)
    table = model.marginals(X[None], others).table().view(64, 2)[place]
    (found,) = client.ask("pixel", "digits", **given(frame=0, row=place // 8, column=place % 8))
    assert found["exact"]
    assert found["channels"][0]["bars"] == pytest.approx(table.tolist(), rel=1e-3)
    assert found["channels"][0]["value"] == (int(X.flatten()[place]) if place < 32 else None)


def test_a_raster_model_is_exact_for_the_next_pixel_and_estimates_the_others(client, runs):
    model = ar.load(runs / "raster")
    exact = model.forward(X[None].long()).table().view(64, 4)
    (found,) = client.ask("pixel", "raster", **given(frame=0, row=4, column=0))
    assert found["exact"]
    assert found["channels"][0]["bars"] == pytest.approx(exact[32].tolist(), rel=1e-3)
    draws = model.complete(
        X.expand(30, 1, 8, 8), torch.from_numpy(HALF).view(1, 8, 8)
    )  # which the page has drawn before
    sent = [text(draw) for draw in draws]
    (found,) = client.ask("pixel", "raster", **given(frame=0, row=4, column=2, draws=sent))
    mean = model.forward(draws).table().view(30, 64, 4)[:, 34].mean(0)
    assert not found["exact"]
    assert found["channels"][0]["bars"] == pytest.approx(mean.tolist(), rel=1e-3)
    assert all(error > 0 for error in found["channels"][0]["error"])


def test_a_page_says_what_each_model_takes(client):
    (page,) = events(client.get("api/page?run=raster&run=clips"))
    raster, clips = page["subjects"]
    assert not raster["anything"]
    assert raster["first"] == list(range(9))
    assert "visits the rows in order" in raster["reason"]
    assert clips["first"] == [0, 1, 2, 3, 4]
    (refused,) = client.ask("complete", "raster", **given(~HALF, count=1, seed=0))
    assert "fixed order" in refused["error"]


def test_bars_are_the_probabilities_of_their_intervals(runs: Path):
    table = ar.Table.load(runs / "shop")
    for name in table.schema.names:
        view = View(table.schema.column(name))
        shown = view.show(table.distribution(name))
        assert sum(shown["bars"]) == pytest.approx(1, abs=1e-3)
    prices = View(table.schema.column("price"))
    bars = prices.show(table.distribution("price", {"size": "M"}))["bars"]
    for bar, edge in enumerate(prices.describe()["edges"][:-1]):
        below = table.probability(f"price <= {edge:.0f}", {"size": "M"}).value
        assert sum(bars[: bar + 1]) == pytest.approx(below, abs=2e-3)


def test_a_table_answers_as_the_library_does(client: Client, runs: Path):
    table, known = ar.Table.load(runs / "shop"), {"size": "S", "price": 10.0}
    *columns, last = client.ask("distributions", "shop", given=known)
    assert [each["column"] for each in columns] == ["country", "currency", "day"]
    expected = table.distribution("currency", {"size": "S", "price": "10"})
    assert columns[1]["bars"][:2] == pytest.approx(expected.probabilities[:2], rel=1e-3)
    nats = -table.log_prob({"size": ["S"], "price": ["10"]})[0]
    assert last["bits"] == pytest.approx(nats / np.log(2))
    question = "country == 'Japan' and currency == 'EUR'"
    (answer,) = client.ask("probability", "shop", given=known, question=question)
    assert answer["value"] == pytest.approx(table.probability(question, known).value)
    assert answer["exact"]
    (drawn,) = client.ask("draw", "shop", given={"size": "L"}, count=4, seed=1)
    expected = table.sample(4, {"size": "L"}, seed=1)
    assert drawn["rows"] == [list(row) for row in zip(*expected.values(), strict=True)]


def test_a_condition_is_passed_on(client: Client, runs: Path, monkeypatch):
    model, x = ar.load(runs / "labelled"), torch.arange(16)[None] % 2
    asked = {"x": text(x), "known": text(np.ones(16)), "label": "two\nlines"}
    context = torch.tensor([[0.0, 1.0]])
    first, *_ = client.ask("measure", "labelled", **asked)
    assert first["bits"] == pytest.approx(-float(model.log_prob(x, context)) / np.log(2))
    (lines,) = client.ask("lines", "labelled", **asked, count=2, seed=0)
    monkeypatch.chdir(runs)
    found: dict[str, Any] = {}
    exec(lines["python"], found)
    assert torch.allclose(found["nats"], model.surprisal(x, context))
    (answer,) = client.ask("measure", "labelled", **asked | {"label": "three"})
    assert "no label 'three'" in answer["error"]


def test_a_table_that_still_trains_answers_by_its_best_weights(runs: Path, tmp_path: Path):
    going = tmp_path / "going"
    shutil.copytree(runs / "shop" / "training", going / "training")
    shutil.copy(runs / "shop" / "schema.json", going)
    site = Site({"going": Subject(going, "going", "going")}, ["going"])
    with serving(site) as address, Client(address) as client:
        (page,) = events(client.get("api/page"))
        assert page["subjects"][0]["kind"] == "table"
        (drawn,) = client.ask("draw", "going", given={}, count=4, seed=1)
    expected = ar.Table.load(runs / "shop").sample(4, seed=1)
    assert drawn["rows"] == [list(row) for row in zip(*expected.values(), strict=True)]


def test_lines_of_code_do_what_the_page_did(client: Client, runs: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(runs)
    (lines,) = client.ask("lines", "digits", **given(count=5, seed=3))
    found: dict[str, Any] = {}
    exec(lines["python"], found)
    known = torch.from_numpy(HALF).view(1, 8, 8)
    generator = torch.Generator().manual_seed(3)
    expected = ar.load("digits").complete(X.expand(5, 1, 8, 8), known, generator=generator)
    assert torch.equal(found["draws"], expected)
    (tmp_path / "partial.npz").write_bytes(base64.b64decode(lines["partial"]))
    command = shlex.split(lines["command"])[1:]
    command = [str(tmp_path / arg) if arg.endswith(".npz") else arg for arg in command]
    assert run(*command) == 0
    assert np.array_equal(np.load(tmp_path / "completed.npz")["x"], expected)
    asked = {"given": {"price": 10.0}, "question": "size == 'S'", "seed": 1}
    (lines,) = client.ask("lines", "shop", **asked)
    exec(lines["python"], found)
    for line in lines["command"].splitlines():
        parts = [str(tmp_path / arg) if arg.endswith(".csv") else arg for arg in shlex.split(line)]
        if "score" not in parts:
            assert run(*parts[1:]) == 0


# The server


def steps(n: int) -> Steps:
    yield from ({"n": i} for i in range(n))


def test_a_long_answer_delays_no_other_and_ends_when_nobody_awaits_it():
    closed = threading.Event()

    def endless() -> Steps:
        try:
            while True:
                time.sleep(0.002)
                yield {"n": 0}
        finally:
            closed.set()

    async def viewers() -> None:
        long = worker.answer("one", "a", endless())
        await anext(long)
        async for _ in worker.answer("two", "a", steps(3)):
            pass
        assert not closed.is_set()
        async for _ in worker.answer("one", "b", steps(3)):  # another question of the first
            pass
        assert not closed.is_set()
        replaced = [event async for event in worker.answer("one", "a", steps(2))]
        assert replaced == [{"n": 0}, {"n": 1}]
        assert await asyncio.to_thread(closed.wait, 5)
        closed.clear()
        left = worker.answer("three", "a", endless())
        await anext(left)
        await left.aclose()
        assert await asyncio.to_thread(closed.wait, 5)

    worker = Worker()
    worker.start()
    asyncio.run(viewers())
    worker.stop()


def test_a_fault_in_an_answer_is_told_and_ends_nothing_else(capsys):
    def faulty() -> Steps:
        yield {"n": 0}
        raise KeyError("secret")

    async def ask() -> list[list[Any]]:
        return [
            [event async for event in worker.answer("one", "a", f)] for f in (faulty(), steps(1))
        ]

    worker = Worker()
    worker.start()
    assert asyncio.run(ask()) == [
        [{"n": 0}, {"error": "this could not be computed (KeyError)"}],
        [{"n": 0}],
    ]
    worker.stop()
    assert "secret" in capsys.readouterr().err


def test_a_viewer_has_a_limited_number_of_open_questions():
    async def ask_too_much() -> None:
        asked = [worker.answer("one", str(n), steps(1)) for n in range(MOST + 1)]
        await asyncio.gather(*(anext(each, None) for each in asked))

    worker = Worker()  # not started: nothing is answered
    with pytest.raises(BusyError):
        asyncio.run(asyncio.wait_for(ask_too_much(), 5))


@pytest.mark.slow
def test_50_viewers_are_answered(address: str):
    def look(viewer: int) -> int:
        with Client(address, f"viewer{viewer}") as own:
            assert own.get("").status_code == 200
            (shown,) = own.ask("pixel", "digits", **given(frame=0, row=viewer % 8, column=1))
            return len(shown["channels"])

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(look, range(50))) == [1] * 50


STRANGE = {
    "another host": {"host": "evil.example"},
    "no host": {"host": ""},
    "a host that begins alike": {"host": "127.0.0.1.evil.example"},
    "a page elsewhere": {"origin": "http://evil.example"},
    "a page of another port": {"origin": "http://127.0.0.1:1"},
    "a frame elsewhere": {"sec-fetch-site": "cross-site"},
}


@pytest.mark.parametrize("headers", STRANGE.values(), ids=STRANGE)
def test_strangers_are_refused(client: Client, headers: dict[str, str]):
    for reply in (
        client.get("", headers=headers),
        client.get("api/page", headers=headers),
        client.post("api/ask/measure/digits", json=given(), headers=headers),
    ):
        assert reply.status_code in (400, 403)
        assert "digits" not in reply.text


def test_a_link_elsewhere_opens_the_page(client: Client):
    opened = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    reply = client.get("", headers=opened)
    assert reply.status_code == 200
    assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_elsewhere_nothing_is_answered_without_the_token(runs: Path):
    site = Site(
        {"digits": Subject(runs / "digits", "digits", "digits")}, ["digits"], (), new_token()
    )
    with serving(site) as address, Client(address) as own:
        assert own.get("").status_code == 200
        assert own.get("api/page", headers={"host": "my-machine:8000"}).status_code == 200
        root = address.removesuffix(f"{site.token}/")
        for path in ("", "api/page", "static/page.js", "x/api/page", f"{site.token[:-1]}/"):
            assert httpx.get(root + path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "static/..%2fserver.py",
        "static/../server.py",
        "static/%2e%2e/server.py",
        "static/%2fetc%2fpasswd",
        "static/nothing.js",
        "api/ask/measure/..%2f..%2fetc",
        "api/ask/nothing/digits",
        "api/follow/nothing",
    ],
)
def test_paths_outside_are_not_there(address: str, path: str):
    # By hand, as clients tidy paths.
    host, port = address.removeprefix("http://").rstrip("/").split(":")
    method = "POST" if "ask" in path else "GET"
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(
            f"{method} /{path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 0\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        reply = b"".join(iter(lambda: connection.recv(4096), b""))
    assert reply.split()[1] in (b"404", b"405")


BAD_QUESTIONS = {
    "no JSON": b"{",
    "nothing": b"",
    "not an object": b"[]",
    "no base64": json.dumps(given() | {"x": "§"}).encode(),
    "too few symbols": json.dumps(given() | {"x": text([0] * 3)}).encode(),
    "a level too high": json.dumps(given() | {"x": text([2] * 64)}).encode(),
    "another type": json.dumps(given() | {"known": 3}).encode(),
    "a label": json.dumps(given() | {"label": "7"}).encode()[:-1],
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("body", BAD_QUESTIONS.values(), ids=BAD_QUESTIONS)
def test_a_bad_question_is_answered_by_a_sentence(client: Client, body: bytes):
    (answer,) = events(client.post("api/ask/measure/digits", content=body))
    assert set(answer) == {"error"}
    assert "Traceback" not in answer["error"]


BAD_FILES = {
    ("shop", "a.csv"): b"",
    ("shop", "b.csv"): b"size,price\nS,ten\n",
    ("shop", "c.csv"): b"other\n1\n",
    ("shop", "d.csv"): b"size,price\nS\n",
    ("shop", "e.parquet"): b"PAR1",
    ("shop", "../../f.exe"): b"MZ",
    ("digits", "g.png"): b"\x89PNG\r\n\x1a\n" + bytes(40),
    ("digits", "h.npy"): b"\x93NUMPY",
    ("clips", "i.mp4"): bytes(100),
}


@pytest.mark.parametrize(("subject", "name"), BAD_FILES)
def test_a_malformed_upload_is_refused_by_a_sentence(client, runs, subject, name):
    reply = client.post(
        f"api/upload/{subject}", params={"name": name}, content=BAD_FILES[subject, name]
    )
    *_, answer = events(reply)
    assert answer["error"]
    assert "/" not in answer["error"].replace("N/A", "")
    assert "Traceback" not in answer["error"]


def test_an_oversized_upload_is_refused(client: Client, monkeypatch):
    monkeypatch.setattr("autoregress.page.uploads.LARGEST", 1000)
    monkeypatch.setattr("autoregress.page.server.LARGEST_QUESTION", 1000)
    with suppress(httpx.WriteError):
        assert client.post("api/upload/shop", content=bytes(1001)).status_code == 413
    pieces = (bytes(100) for _ in range(11))  # which do not say how many they are
    with suppress(httpx.WriteError):
        assert client.post("api/upload/shop", content=pieces).status_code == 413
    with suppress(httpx.WriteError):
        assert client.post("api/ask/measure/digits", content=bytes(1001)).status_code == 413


def test_no_answer_holds_a_path_of_the_machine(client: Client, runs: Path):
    replies = [
        client.get("api/page?run=digits&run=shop"),
        client.post("api/ask/lines/digits", json=given(count=1, seed=0)),
        client.post("api/ask/lines/shop", json={"given": {}}),
        client.post("api/upload/shop", params={"name": "x.csv"}, content=b"size,price\nS\n"),
    ]
    (runs / "empty").mkdir()
    (runs / "empty" / "config.json").write_text("{")
    (runs / "empty" / "model.safetensors").write_bytes(b"")
    site = Site({"empty": Subject(runs / "empty", "empty", "empty")}, ["empty"])
    with serving(site) as address, Client(address) as own:
        replies.append(own.get("api/page"))
    assert "damaged" in replies[-1].text
    for reply in replies:
        assert str(runs.parent) not in reply.text
        assert "/tmp" not in reply.text


def test_a_picture_is_read_as_the_library_reads_it(client: Client, tmp_path: Path):
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (found,) = events(client.post("api/upload/colour", params={"name": "a.png"}, content=content))
    expected = ar.data.read(tmp_path / "a.png", size=(4, 4), levels=8, grey=False).x
    assert base64.b64decode(found["x"]) == expected.numpy().astype(np.uint8).tobytes()


# In the browser


# What can be operated, or is a picture, and has no name for people who hear the page.
NAMELESS = """[...document.querySelectorAll("button, input, select, [tabindex='0'], [role=img]")]
    .filter((each) => each.checkVisibility() && !each.ariaLabel && !each.textContent.trim()
        && !each.labels?.length).map((each) => each.outerHTML)"""


@contextmanager
def opened(browser: Browser, url: str, name: str, **options: Any) -> Iterator[Page]:
    """A page at an address; afterwards a screenshot is taken, and nothing was wrong."""
    options = {"viewport": {"width": 1280, "height": 860}, **options}
    context = browser.new_context(reduced_motion="reduce", **options)
    page = context.new_page()
    wrong: list[str] = []
    here = url.partition("#")[0]
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "request",
        lambda r: None if r.url.startswith((here, "data:", "blob:")) else wrong.append(r.url),
    )
    page.set_default_timeout(15_000)
    page.goto(url)
    try:
        yield page
        assert page.evaluate(NAMELESS) == []
    finally:
        ARTEFACTS.mkdir(exist_ok=True)
        page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)
        context.close()
    assert wrong == []


def place(page: Page, row: int, column: int, side: int = 8) -> tuple[float, float]:
    box = page.locator(".easel canvas").bounding_box()
    assert box is not None
    step = box["width"] / side
    return box["x"] + (column + 0.5) * step, box["y"] + (row + 0.5) * step


def stroke(page: Page, start: tuple[int, int], stop: tuple[int, int]) -> None:
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    page.mouse.move(*place(page, *stop), steps=6)
    page.mouse.up()


def bits_of(page: Page) -> float:
    return float(page.locator("#bits").inner_text().split()[0].replace(",", ""))


@pytest.mark.slow
def test_paint_complete_hover_and_share(browser: Browser, address: str, runs: Path):
    with opened(browser, address, "digits") as page:
        expect(page.locator("#bits")).to_have_text("0.0 bits")
        stroke(page, (1, 3), (5, 3))
        expect(page.locator(".evidence")).to_contain_text("5 of 64 pixels are known")
        expect(page.locator(".completions")).to_contain_text("bits each on average")
        known = torch.zeros(1, 8, 8, dtype=torch.bool)
        known[0, 1:6, 3] = True
        model = ar.load(runs / "digits")
        nats = model.surprisal(known[None].long(), known=known).sum()
        assert bits_of(page) == pytest.approx(float(nats / np.log(2)), abs=0.06)
        page.mouse.move(*place(page, 6, 3))
        table = model.marginals(known[None].long(), known).table().view(64, 2)
        white = f"{100 * float(table[51, 1]):.1f}"
        expect(page.locator(".pixel h2")).to_have_text("Pixel at row 7, column 4")
        expect(page.locator(".pixel .facts")).to_contain_text(f"{float(white):.0f} %")
        expect(page.locator(".pixel")).to_contain_text("Exact")
        page.get_by_role("radio", name="Eraser").click()
        stroke(page, (1, 3), (1, 3))
        expect(page.locator(".evidence")).to_contain_text("4 of 64 pixels are known")
        page.get_by_role("button", name="Surprise").click()
        expect(page.locator(".scale")).to_contain_text("nats")
        before = bits_of(page)
        page.wait_for_timeout(400)  # completions follow a moment later
        expect(page.locator(".completions")).to_contain_text("bits each on average")
        page.get_by_role("button", name="Completion 3: use").click()
        expect(page.locator(".evidence")).to_contain_text("The whole picture")
        whole = bits_of(page)
        assert whole > before
        page.wait_for_timeout(200)  # the address follows
        link = page.url
    with opened(browser, link, "shared") as page:
        expect(page.locator(".evidence")).to_contain_text("The whole picture")
        assert bits_of(page) == whole
        expect(page.get_by_role("button", name="Surprise")).to_have_attribute(
            "aria-pressed", "true"
        )
        page.get_by_role("button", name="Code").click()
        expect(page.locator("#lines-python")).to_contain_text("ar.load('digits')")
        expect(page.locator("#lines-command")).to_contain_text("autoregress complete digits")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save partial.npz").click()
        with np.load(saved.value.path()) as partial:
            assert partial["known"].all()
        page.keyboard.press("Escape")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save picture").click()
        with Image.open(saved.value.path()) as picture:
            assert picture.size[0] > 100


@pytest.mark.slow
def test_a_raster_model_greys_out_what_it_cannot_be_given(browser: Browser, address: str):
    with opened(browser, f"{address}#run=raster", "raster", color_scheme="dark") as page:
        expect(page.get_by_role("button", name="Expected")).to_be_disabled()
        expect(page.locator(".evidence .note")).to_contain_text("visits the rows in order")
        stroke(page, (5, 1), (5, 6))
        expect(page.locator(".evidence .note")).to_contain_text("Move “Known rows” to paint")
        page.locator("#rows").fill("6")
        expect(page.locator(".evidence")).to_contain_text("48 of 64 pixels are known")
        stroke(page, (5, 1), (5, 6))
        expect(page.locator(".completions")).to_contain_text("bits each on average")
        page.mouse.move(*place(page, 7, 7))
        expect(page.locator(".pixel")).to_contain_text("Not exact: estimated from 16 completions")


@pytest.mark.slow
def test_two_models_side_by_side(browser: Browser, address: str, runs: Path):
    with opened(browser, f"{address}#run=digits&beside=narrow", "beside") as page:
        stroke(page, (1, 3), (6, 3))
        known = torch.zeros(1, 8, 8, dtype=torch.bool)
        known[0, 1:7, 3] = True
        bits = [
            float(ar.load(runs / name).surprisal(known[None].long(), known=known).sum() / np.log(2))
            for name in ("digits", "narrow")
        ]
        better = "digits" if bits[0] < bits[1] else "narrow"
        expect(page.locator("#difference")).to_contain_text(
            f"bits fewer with {better}, for 6 of 64 pixels"
        )
        shown = float(page.locator("#difference").inner_text().split()[0])
        assert shown == pytest.approx(abs(bits[0] - bits[1]), abs=0.06)
        assert page.locator(".tiles").count() == 2
        page.locator("#beside").select_option("shop")
        expect(page.locator("main")).to_contain_text("no evidence in common")


@pytest.mark.slow
def test_fix_a_column_and_ask(browser: Browser, address: str, runs: Path):
    table = ar.Table.load(runs / "shop")
    with opened(browser, f"{address}#run=shop", "table") as page:
        price = page.locator("[data-column=price]")
        expect(price).to_contain_text(f"mean {table.distribution('price').mean():.4g}")
        page.get_by_role("button", name="L, ").click()
        given = {"size": "L"}
        expect(price).to_contain_text(f"mean {table.distribution('price', given).mean():.4g}")
        expect(page.locator(".fixed")).to_contain_text("size = L")
        price.get_by_role("slider").fill("12")
        expect(price).to_contain_text("= 12")
        expect(page.locator("#bits")).to_contain_text("bits of surprise")
        page.get_by_role("button", name="Release size").first.click()
        small = table.distribution("size", {"price": 12}).items()["S"]
        expect(page.get_by_role("button", name=f"S, {100 * small:.0f} %")).to_be_visible()
        page.get_by_label("Fix the date of day").fill("2024-01-20")
        expect(page.locator(".fixed")).to_contain_text("day = 2024-01-20")
        page.get_by_role("button", name="Release day").first.click()
        page.locator("#question").fill("country == 'Japan' and currency == 'EUR'")
        page.keyboard.press("Enter")
        answer = table.probability("country == 'Japan' and currency == 'EUR'", {"price": 12})
        expect(page.locator("#answer")).to_contain_text("exact")
        shown = page.locator("#answer").inner_text().split()[0].replace("−", "-")
        assert float(shown) == pytest.approx(answer.value, rel=0.1)
        page.locator("#question").fill("nothing == 3")
        page.keyboard.press("Enter")
        expect(page.locator("#answer")).to_contain_text("there is no column 'nothing'")
        page.get_by_role("button", name="Draw 10 rows").click()
        expect(page.locator(".rows-drawn tbody tr")).to_have_count(10)


@pytest.mark.slow
def test_find_a_planted_error_in_a_file(browser: Browser, address: str, tmp_path: Path):
    rows = shop(60, 5)
    rows["currency"][41] = "EUR" if rows["currency"][41] == "JPY" else "JPY"
    text = ",".join(rows) + "\n"
    text += "".join(",".join(map(str, row)) + "\n" for row in zip(*rows.values(), strict=True))
    (tmp_path / "shop.csv").write_text(text)
    with opened(browser, f"{address}#run=shop", "file") as page:
        page.get_by_role("tab", name="Check a file").click()
        page.set_input_files("#table", tmp_path / "shop.csv")
        worst = page.locator("tbody tr").first
        expect(worst.locator("td").first).to_have_text("42")
        expect(page.locator(".checking")).to_contain_text("60 rows")
        cell = page.get_by_role("button", name="Row 42, currency")
        if "hot" not in (worst.locator("td", has=cell).get_attribute("class") or ""):
            cell = page.get_by_role("button", name="Row 42, country")
        assert "hot" in (worst.locator("td", has=cell).get_attribute("class") or "")
        page.get_by_role("button", name="Row 42, currency").click()
        right = "JPY" if rows["currency"][41] == "EUR" else "EUR"
        expect(page.locator("#likeliest")).to_have_text(right)
        page.get_by_role("button", name=f"Repair: {right}").click()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save CSV").click()
        repaired = saved.value.path().read_text().splitlines()
        assert repaired[42].split(",")[3] == right
        assert [line for n, line in enumerate(repaired) if n != 42] == [
            line for n, line in enumerate(text.splitlines()) if n != 42
        ]


@pytest.mark.slow
def test_the_command_serves_until_ctrl_c(runs: Path, tmp_path: Path):
    (tmp_path / "rows.csv").write_text("size,price\nS,10\nS,31\n")
    command = ["serve", runs / "shop", "--data", tmp_path / "rows.csv", "--no-open", "--port", 0]
    process = subprocess.Popen(
        [sys.executable, "-m", "autoregress", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        address = process.stdout.readline().split()[0]
        with Client(address) as client:
            (page,) = events(client.get("api/page"))
            assert page["shown"] == ["shop"]
            _, found = client.ask("check", "shop")
            with client.stream("GET", "api/follow/shop") as following:  # which has no end
                lines = following.iter_lines()
                assert json.loads(next(lines).removeprefix("data: "))["training"] is False
                process.send_signal(signal.SIGINT)
                assert "event: end" in list(lines)
        out, error = process.communicate(timeout=30)
    assert (process.returncode, out, error.strip()) == (0, "", "")
    assert found["p"][1][1] < found["p"][0][1]


@pytest.mark.slow
def test_scrub_a_clip(browser: Browser, address: str, runs: Path, tmp_path: Path):
    model = ar.load(runs / "clips")
    clip = torch.randint(2, (1, 4, 1, 8, 8))
    np.savez(tmp_path / "clip.npz", x=clip.numpy())
    with opened(browser, f"{address}#run=clips", "clips") as page:
        expect(page.locator("#bits")).to_be_visible()
        page.set_input_files("#film", tmp_path / "clip.npz")
        bits = float(model.surprisal(clip).sum() / np.log(2))
        expect(page.locator("#bits")).to_contain_text(f"{bits:.1f}")
        page.locator("#frames").fill("1")
        expect(page.locator(".tools.known")).to_contain_text("1 of 4")
        expect(page.locator(".legend")).to_contain_text("bits each on average")
        page.get_by_label("Frame shown").fill("3")
        page.wait_for_timeout(200)
        assert "frames=1" in page.url
        frames = model.surprisal(clip).flatten(2).sum(2)[0] / np.log(2)
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save picture").click()
        with Image.open(saved.value.path()) as picture:
            assert picture.size == (4 * 164 - 4, 7 * 164 - 4)  # the clip and 6 continuations
        label = page.locator(".timeline svg").get_attribute("aria-label") or ""
        shown = [float(each) for each in label.partition(": ")[2].split(",")]
        assert shown == pytest.approx(frames.tolist(), rel=0.1)


@pytest.mark.slow
def test_the_page_follows_a_training(browser: Browser, runs: Path, tmp_path: Path):
    go = threading.Semaphore(0)
    model = ar.MADE((1, 8, 8), 2, hidden=(8,), orderings="any")
    x = ar.data.digits(threshold=8).x[:200]

    def train() -> None:
        options = {"max_epochs": 4, "batch_size": 100, "quiet": True}
        wait = lambda _: go.acquire(timeout=30)  # noqa: E731
        ar.fit(model, x, valid=x[:50], run=tmp_path / "going", on_epoch=wait, **options)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        while not (tmp_path / "going" / "config.json").exists():
            time.sleep(0.02)
        site = Site({"going": Subject(tmp_path / "going", "going", "going")}, ["going"])
        with (
            serving(site) as address,
            opened(browser, f"{address}#tab=training", "training") as page,
        ):
            expect(page.locator(".follow")).to_contain_text("training, epoch 2 of at most 4")
            go.release()
            expect(page.locator(".follow")).to_contain_text("training, epoch 3 of at most 4")
            expect(page.locator(".newest canvas")).to_have_count(16)
            for _ in range(3):
                go.release()
            thread.join()
            expect(page.locator(".follow")).to_contain_text("4 epochs")
            expect(page.locator(".follow .facts")).to_contain_text("Best epoch")
    finally:
        for _ in range(8):
            go.release()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("run_", ["digits", "shop", "clips"])
def test_on_a_phone_nothing_is_cut_off(browser: Browser, address: str, run_: str):
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with opened(browser, f"{address}#run={run_}", f"phone-{run_}", **phone) as page:
        expect(page.locator("main .panel").first).to_be_visible()
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        if run_ == "digits":
            page.touchscreen.tap(*place(page, 2, 2))
            expect(page.locator(".evidence")).to_contain_text("1 of 64 pixels are known")


@pytest.mark.slow
def test_by_keyboard_alone(browser: Browser, address: str):
    with opened(browser, address, "keyboard") as page:
        expect(page.locator("#bits")).to_have_text("0.0 bits")
        page.locator("#run").focus()
        for _ in range(12):
            if page.evaluate("document.activeElement.tagName") == "CANVAS":
                break
            page.keyboard.press("Tab")
        for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Space", "ArrowDown", "Enter"):
            page.keyboard.press(key)
        expect(page.locator(".evidence")).to_contain_text("2 of 64 pixels are known")
        expect(page.locator(".pixel h2")).to_have_text("Pixel at row 3, column 3")
        expect(page.locator("#said-pixel")).to_contain_text("Row 3, column 3, level 1")
        page.keyboard.press("Delete")
        expect(page.locator(".evidence")).to_contain_text("1 of 64 pixels are known")
        page.keyboard.press("Tab")  # to the palette
        page.keyboard.press("ArrowLeft")
        expect(page.get_by_role("radio", name="Black")).to_have_attribute("aria-checked", "true")


def test_every_file_of_the_page_is_packed_and_uses_nothing_from_elsewhere():
    folder = Path(ar.__file__).parent / "page" / "static"
    for file in folder.iterdir():
        assert set(re.findall(r"https?://[^\"/]*", file.read_text())) <= {
            "http://www.w3.org",
            "https://arxiv.org",
        }

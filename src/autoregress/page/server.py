"""The server: a page, and the answers to its questions as server-sent events.

It listens on this machine alone unless told otherwise, and then everything lies below a random
token. It answers requests of its own page only: the Host must be its own, and so must the Origin.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, TypedDict

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autoregress.disk import parse_json
from autoregress.page import lines, pixels, rows, uploads
from autoregress.page.arrays import from_text
from autoregress.page.columns import cells
from autoregress.page.pixels import Evidence, Given
from autoregress.page.subjects import Subject
from autoregress.page.training import follow
from autoregress.page.workers import BusyError, Event, Steps, Worker
from autoregress.tables.frames import as_cells

LOCAL = ("127.0.0.1", "localhost", "[::1]")
LARGEST_QUESTION = 8 * 2**20  # bytes
KEPT = 4  # models in memory
VIEWER = re.compile(r"[\w-]{1,64}")
KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class CompleteQuestion(Given):
    """How many completions to draw, and by which seed."""

    count: int
    seed: int


class PixelQuestion(Given):
    """A pixel, and draws to estimate by where it cannot be exact."""

    frame: int
    row: int
    column: int
    draws: list[str] | None


class ExampleQuestion(TypedDict):
    """The number of an example."""

    number: int


class TableQuestion(TypedDict):
    """Cells that are known: texts, or numbers in units of the resolution."""

    given: dict[str, str | float]
    question: str | None
    count: int | None
    seed: int | None


class RepairQuestion(TypedDict):
    """A cell of a row."""

    row: dict[str, str | None]
    column: str


Answer = Callable[[Subject, bytes], Steps]


def _measure(subject: Subject, body: bytes) -> Steps:
    model = subject.model
    yield from pixels.measure(model, Evidence.of(parse_json(body, Given), model))


def _complete(subject: Subject, body: bytes) -> Steps:
    model, asked = subject.model, parse_json(body, CompleteQuestion)
    yield from pixels.complete(model, Evidence.of(asked, model), asked["count"], asked["seed"])


def _pixel(subject: Subject, body: bytes) -> Steps:
    model, asked = subject.model, parse_json(body, PixelQuestion)
    dims = pixels.dims_at(model, asked["frame"], asked["row"], asked["column"])
    texts = (asked["draws"] or [])[: pixels.MOST_DRAWS]
    draws = torch.cat([from_text(text, model.symbols) for text in texts]) if texts else None
    yield from pixels.pixel(model, Evidence.of(asked, model), dims, draws)


def _frames(subject: Subject, body: bytes) -> Steps:
    model = subject.model
    yield from pixels.frames(model, Evidence.of(parse_json(body, Given), model))


def _example(subject: Subject, body: bytes) -> Steps:
    yield subject.example(parse_json(body, ExampleQuestion)["number"])


def _lines(subject: Subject, body: bytes) -> Steps:
    if subject.is_table:
        asked = parse_json(body, TableQuestion)
        known = cells(subject.views, asked["given"])
        yield dict(
            lines.of_table(
                subject.typed, known, asked["question"] or "", list(subject.views),
                asked["seed"] or 0,
            )
        )  # fmt: skip
    else:
        model, drawn = subject.model, parse_json(body, CompleteQuestion)
        given = Evidence.of(drawn, model)
        yield dict(lines.of_pixels(model, given, subject.typed, drawn["count"], drawn["seed"]))


def _distributions(subject: Subject, body: bytes) -> Steps:
    asked = parse_json(body, TableQuestion)
    yield from rows.distributions(subject.table, subject.views, asked["given"])


def _probability(subject: Subject, body: bytes) -> Steps:
    asked = parse_json(body, TableQuestion)
    yield from rows.question(subject.table, subject.views, asked["question"] or "", asked["given"])


def _draw(subject: Subject, body: bytes) -> Steps:
    asked = parse_json(body, TableQuestion)
    yield from rows.draw(
        subject.table, subject.views, asked["given"], asked["count"] or 1, asked["seed"] or 0
    )


def _repair(subject: Subject, body: bytes) -> Steps:
    asked = parse_json(body, RepairQuestion)
    yield from rows.repair(subject.table, subject.views, asked["row"], asked["column"])


def _check(subject: Subject, body: bytes) -> Steps:
    yield None
    if subject.data is None:
        raise ValueError(f"{subject.name} was served without --data")
    yield from rows.explain(subject.table, as_cells(subject.data))


QUESTIONS: dict[str, Answer] = {
    "measure": _measure,
    "complete": _complete,
    "pixel": _pixel,
    "frames": _frames,
    "example": _example,
    "lines": _lines,
    "distributions": _distributions,
    "probability": _probability,
    "draw": _draw,
    "repair": _repair,
    "check": _check,
}


def _uploaded(subject: Subject, content: bytes, name: str) -> Steps:
    yield None
    if subject.is_table:
        yield from rows.explain(subject.table, uploads.table(content, name))
    else:
        yield uploads.picture(content, name, subject.model)


@dataclass
class Site:
    """What is served, and to whom.

    Attributes:
        subjects: the runs, by name.
        shown: the names of the one or two that a page shows first.
        hosts: the values of Host that are answered, without the port; empty for any.
        token: the folder below which everything lies; empty for none.
    """

    subjects: Mapping[str, Subject]
    shown: Sequence[str]
    hosts: Sequence[str] = LOCAL
    token: str = ""
    worker: Worker = field(default_factory=Worker)
    _recent: list[Subject] = field(default_factory=list)
    _ended: bool = False

    # Pages

    async def page(self, request: Request) -> Response:
        return _asset("index.html")

    async def asset(self, request: Request) -> Response:
        return _asset(request.path_params["name"])

    async def describe(self, request: Request) -> Response:
        """The runs, and a description of those that are asked for by ``?run=``."""
        wanted = request.query_params.getlist("run") or list(self.shown)
        wanted = [name for name in wanted if name in self.subjects][:2] or list(self.shown)

        for name in wanted:
            self._use(self.subjects[name])

        def steps() -> Steps:
            yield {
                "runs": list(self.subjects),
                "shown": wanted,
                "subjects": [_described(self.subjects[name]) for name in wanted],
            }

        return self._stream(request, "describe", steps())

    # Questions

    async def ask(self, request: Request) -> Response:
        """The answer to a question about a run."""
        subject = self.subjects.get(request.path_params["run"])
        answer = QUESTIONS.get(request.path_params["question"])
        if subject is None or answer is None:
            return _error(404, "there is no such run or question")
        body = await _body(request, LARGEST_QUESTION)
        if body is None:
            return _error(413, f"a question has at most {LARGEST_QUESTION:,} bytes")
        self._use(subject)
        topic = f"{request.path_params['question']} {request.path_params['run']}"
        return self._stream(request, topic, answer(subject, body))

    async def upload(self, request: Request) -> Response:
        """What a run says of a file."""
        subject = self.subjects.get(request.path_params["run"])
        if subject is None:
            return _error(404, "there is no such run")
        body = await _body(request, uploads.LARGEST)
        if body is None:
            return _error(413, f"a file has at most {uploads.LARGEST // 2**20} MB here")
        steps = _uploaded(subject, body, request.query_params.get("name", "file"))
        return self._stream(request, f"upload {request.path_params['run']}", steps)

    async def follow(self, request: Request) -> Response:
        """The training of a run as it goes on."""
        subject = self.subjects.get(request.path_params["run"])
        if subject is None:
            return _error(404, "there is no such run")
        return _events(follow(subject, lambda: self._ended))

    def end(self) -> None:
        """Ends all answers."""
        self._ended = True
        self.worker.stop()

    def _use(self, subject: Subject) -> None:
        """Keeps a run's model in memory, and those of the runs used last."""
        self._recent = [subject, *(other for other in self._recent if other is not subject)]
        for other in self._recent[KEPT:]:
            other.forget()
        del self._recent[KEPT:]

    def _stream(self, request: Request, topic: str, steps: Steps) -> Response:
        viewer = request.headers.get("x-viewer", "")
        if not VIEWER.fullmatch(viewer):
            return _error(400, "the header X-Viewer must be a short word")
        return _events(self.worker.answer(viewer, topic, steps))

    # The application

    def app(self) -> Starlette:
        """The ASGI application."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            self.worker.start()
            yield
            self.end()

        routes = [
            Route("/", self.page),
            Route("/static/{name}", self.asset),
            Route("/api/page", self.describe),
            Route("/api/follow/{run:path}", self.follow),
            Route("/api/upload/{run:path}", self.upload, methods=["POST"]),
            Route("/api/ask/{question}/{run:path}", self.ask, methods=["POST"]),
        ]
        if self.token:
            routes = [Mount(f"/{self.token}", routes=routes)]
        return Starlette(
            routes=routes, lifespan=lifespan, middleware=[Middleware(Guard, hosts=self.hosts)]
        )


def _described(subject: Subject) -> dict[str, Any]:
    try:
        return subject.describe()
    except ValueError as error:
        return {"name": subject.name, "kind": "none", "reason": without_folders(str(error))}


class Guard:
    """Refuses requests to another host and from other pages, and adds the headers of safety."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        reason = self._reason(request)
        if reason:
            await _error(403, reason)(scope, receive, guarded)
        else:
            await self.app(scope, receive, guarded)

    def _reason(self, request: Request) -> str:
        host = request.headers.get("host", "")
        if self.hosts and host.rpartition(":")[0 if ":" in host else 2] not in self.hosts:
            return "this server answers at its own address only"
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return "this server answers its own page only"
        site = request.headers.get("sec-fetch-site", "none")
        opened = request.headers.get("sec-fetch-mode") == "navigate"  # by a link elsewhere
        if site not in ("same-origin", "none") and not opened:
            return "this server answers its own page only"
        return ""


def new_token() -> str:
    """A random word that cannot be guessed."""
    return secrets.token_urlsafe(24)


def without_folders(text: str) -> str:
    """A message with the last part only of each path of this machine."""
    return re.sub(r"(?<![\w.:/])/(?:[^\s/:'\"]+/)+", "", text)


def _asset(name: str) -> Response:
    """A file of the page; there are no others."""
    folder = files("autoregress.page") / "static"
    if name not in {file.name for file in folder.iterdir() if file.is_file()}:
        return _error(404, "there is no such file")
    kind = KINDS.get(name.rpartition(".")[2], "application/octet-stream")
    return Response((folder / name).read_bytes(), media_type=kind)


async def _body(request: Request, most: int) -> bytes | None:
    """The body of a request, None if it is larger than ``most`` bytes."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > most:
        return None
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            return None
    return bytes(content)


def _events(events: AsyncIterator[Event]) -> Response:
    """Server-sent events, each a line of JSON; the last says so."""

    async def lines() -> AsyncIterator[str]:
        try:
            async for event in events:
                if "error" in event:
                    event = {**event, "error": without_folders(event["error"])}
                yield f"data: {json.dumps(event, allow_nan=False)}\n\n"
        except BusyError:
            yield f"data: {json.dumps({'error': 'too many questions are open; wait a moment'})}\n\n"
        yield "event: end\ndata: {}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream")


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens at an address of this machine; port 0 is any free one.

    Raises:
        ValueError: the address is taken, or is not one of this machine.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ValueError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
    return listener


class Server(uvicorn.Server):
    """The server of a site; ``run(sockets=[…])`` serves until Ctrl-C."""

    def __init__(self, site: Site) -> None:
        self.site = site
        super().__init__(
            uvicorn.Config(
                site.app(),
                log_level="error",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
                h11_max_incomplete_event_size=2**16,
                limit_concurrency=1000,
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends all answers first: some would never end."""
        self.site.end()
        await super().shutdown(sockets)

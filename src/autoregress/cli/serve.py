"""The page in the browser."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Annotated

from tyro.conf import Positional, arg

from autoregress.cli.options import Port

FIRST, LAST = 8000, 8019  # ports that are tried


@dataclass(frozen=True)
class Serve:
    """Open a page in the browser: fix what is known, watch the rest, see what surprises.

    autoregress serve runs/digits

    autoregress serve runs/one runs/other

    autoregress serve --demo

    The page shows any run, also one that is still training, and two of them side by side. It runs
    on this machine until Ctrl-C, and sends nothing anywhere.

    Args:
        runs: A run folder, or one that ar.save wrote; two of them to compare; a folder with such
            folders in it; or the name of a model that comes with the package.
        data: Examples to choose from, or a table to check, of the kind that the runs were trained
            on.
        demo: Show the small models that come with the package.
        host: Address to listen at. If it is not this machine alone, the address of the page
            contains a random word, without which nothing is answered.
        port: Port to listen at; by default the first free one from 8000.
        open: Open the page in the browser.
    """

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN")] = ()
    data: Path | None = None
    demo: bool = False
    host: str = "127.0.0.1"
    port: Port | None = None
    open: bool = True

    def __call__(self) -> None:
        if not self.runs and not self.demo:
            raise ValueError("name a run folder, as in: autoregress serve runs/mine; or use --demo")
        try:
            from autoregress.page.server import LOCAL, Server, Site, new_token
        except ImportError as error:
            raise ImportError("the page needs: pip install 'autoregress[serve]'") from error
        from autoregress.bundled import NAMES, folder_of
        from autoregress.page.subjects import found_in

        bundled = sorted(NAMES, key=lambda name: name != "digits") if self.demo else []
        subjects = found_in([folder_of(run) for run in (*self.runs, *bundled)], self.data)
        local = self.host in ("127.0.0.1", "localhost", "::1")
        names = [subject.name for subject in subjects]
        site = Site(
            {subject.name: subject for subject in subjects},
            shown=names if len(self.runs) == len(names) == 2 else names[:1],
            hosts=LOCAL if local else (),
            token="" if local else new_token(),
        )

        listener = self._listener()
        where = f"[{self.host}]" if ":" in self.host else self.host
        folder = f"{site.token}/" if site.token else ""
        address = f"http://{where}:{listener.getsockname()[1]}/{folder}"
        print(f"{address}  (Ctrl-C ends)", flush=True)
        if self.open:
            webbrowser.open(address)
        # Ctrl-C is how it ends.
        with listener, suppress(KeyboardInterrupt):
            Server(site).run(sockets=[listener])

    def _listener(self) -> socket:
        """A socket at the chosen port, or at the first free one."""
        from autoregress.page.server import listening

        if self.port is not None:
            return listening(self.host, self.port)
        for port in range(FIRST, LAST):
            with suppress(ValueError):
                return listening(self.host, port)
        return listening(self.host, LAST)

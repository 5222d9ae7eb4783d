"""The page verb."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from autoregress.cli.output import announce
from autoregress.cli.tables import holds_table
from autoregress.disk import check_output, write_file


@dataclass(frozen=True)
class Page:
    """Write a MADE or a table as one self-contained page, which computes in the browser.

    autoregress page digits --out page.html

    The page works from the disk and in mails, without network: in images, paint the pixels that
    are known; in tables, set cells; the distributions of all others follow, exactly. It takes a
    MADE trained over orderings (or with evidence), or a table.

    Args:
        run: A run folder, one that ar.save wrote, or the name of a bundled model.
        out: The .html file to write.
        title: Heading of the page; by default the name of the run.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    out: Path
    title: str | None = None

    def __call__(self) -> None:
        from autoregress.page.export import self_contained
        from autoregress.storage import load
        from autoregress.tables import Table

        check_output(self.out)
        model = Table.load(self.run) if holds_table(self.run) else load(self.run)
        content = self_contained(model, self.title or self.run.absolute().name).encode()
        write_file(self.out, content)
        announce(f"{self.out}: {len(content) / 1e6:.1f} MB; open it in a browser", self.out)

"""The report verb."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from autoregress.cli.examples import open_like
from autoregress.cli.output import announce
from autoregress.cli.tables import holds_table
from autoregress.data.reading import Reading
from autoregress.disk import check_output, write_file


@dataclass(frozen=True)
class Report:
    """Write a self-contained page of a run: curve, samples, completions, surprise, scores.

    autoregress report runs/mine --data test.npz --out report.html

    Args:
        run: A run folder, one that ar.save wrote, or the name of a bundled model, such as digits.
        data: Held-out examples, or a table, to be measured, completed and judged; without them,
            those that the model draws.
        out: The .html file to write.
        seed: Seed of the draws.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]
    data: Path | None = None
    out: Path = Path("report.html")
    seed: int = 0

    def __call__(self) -> None:
        from autoregress.report import report
        from autoregress.storage import load

        check_output(self.out)
        examples = self.data
        if self.data is not None and not holds_table(self.run):
            examples = open_like(load(self.run), self.data, Reading(), split="test")
        content = report(self.run, examples, seed=self.seed).encode()
        write_file(self.out, content)
        announce(f"{self.out}: {len(content) / 1e6:.1f} MB; open it in a browser", self.out)

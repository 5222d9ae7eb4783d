"""Several trained models as one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from autoregress.cli.tables import holds_table
from autoregress.disk import check_folder


@dataclass(frozen=True)
class Mix:
    """Mix the models of several runs equally, such as one recipe's with several seeds.

    autoregress mix runs/a runs/b --out runs/both

    The mixture's nats are at most the mean of its models', and usually below the best model's.

    Args:
        runs: Run folders, or ones that ar.save wrote, with models of the same events.
        out: The folder to write, which all other verbs take as a run.
    """

    runs: Annotated[
        Positional[tuple[Path, ...]], arg(metavar="RUN [RUN ...]", help_behavior_hint="(required)")
    ]
    out: Path

    def __call__(self) -> None:
        from autoregress.mixture import Mixture
        from autoregress.storage import load, save

        check_folder(self.out)
        for run in self.runs:
            if holds_table(run):
                raise ValueError(f"{run} is the run of a table, which cannot be mixed")
        if self.out.is_dir() and any(self.out.iterdir()):
            raise ValueError(f"{self.out} is not empty; give another folder")
        mixture = Mixture([load(run) for run in self.runs])
        save(mixture, self.out)
        parameters = sum(p.numel() for p in mixture.parameters())
        print(f"{len(self.runs)} models in {self.out}; {parameters:,} parameters")
        print(f"next: autoregress evaluate {self.out} --data TEST")

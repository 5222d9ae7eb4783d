"""Speed as ratios: contestants that take turns in one process, and a page of the results."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def alternate(
    contestants: dict[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each, taken in turns after one unmeasured round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, run in contestants.items():
            start = clock()
            run()
            if turn:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


class Rows(list[dict[str, Any]]):
    """Rows of a comparison: what is compared, the ratio, and its target."""

    def add(
        self, what: str, ratio: float, *, most: float | None = None, least: float | None = None
    ) -> None:
        target = f"at most {most}" if most is not None else f"at least {least}"
        if most is None and least is None:
            target = "none"
        met = (most is None or ratio <= most) and (least is None or ratio >= least)
        self.append({"what": what, "ratio": round(ratio, 2), "target": target, "met": met})
        print(f"{what:64s} {ratio:8.2f}   {target:14s} {'met' if met else 'MISSED'}", flush=True)


def table(report: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = ["| what | ratio | target | met |", "|---|---:|---|---|"]
    for r in report["rows"]:
        target, met = r["target"], "yes" if r["met"] else "**no**"
        if target == "none":
            target = met = "–"
        lines.append(f"| {r['what']} | {r['ratio']:.2f} | {target} | {met} |")
    return "\n".join(lines)


def circumstances(report: dict[str, Any]) -> str:
    threads = "1 thread" if report["threads"] == 1 else f"{report['threads']} threads"
    return (
        f"the medians of {report['rounds']} rounds in which the contestants take turns in one "
        f"process.\ntorch {report['torch']}, {threads}, {report['machine']}."
    )


def commands(name: str, *, part: str) -> str:
    """How the page is made, and a part of it measured."""
    return f"""`python benchmarks/{name}.py --write docs/results` makes this page. A part of it:

```console
python benchmarks/{name}.py --part {part} --rounds 1
```
"""


def main(
    name: str,
    parts: dict[str, Callable[[Rows, int], None]],
    page: Callable[[dict[str, Any]], str],
    *,
    rounds: int = 10,
) -> None:
    """Measures; with --write, also writes name.json and name.md.

    Args:
        parts: adds the rows of each part of the page, given the number of rounds.
    """
    parser = argparse.ArgumentParser(description=page.__doc__)
    parser.add_argument("--rounds", type=int, default=rounds, help="turns of each contestant")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--part", choices=parts, help="measure this part alone")
    what.add_argument("--write", type=Path, help=f"folder for {name}.json and {name}.md")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    rows = Rows()
    for part in [arguments.part] if arguments.part else parts:
        parts[part](rows, arguments.rounds)
    report = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "rounds": arguments.rounds,
        "rows": rows,
    }
    if arguments.write:
        (arguments.write / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
        (arguments.write / f"{name}.md").write_text(page(report))

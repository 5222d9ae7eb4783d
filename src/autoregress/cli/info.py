"""A summary of a run, or of a compressed file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from autoregress.cli.tables import holds_table, schema_of


@dataclass(frozen=True)
class Info:
    """Show what a run folder, a saved model or a compressed file holds.

    autoregress info runs/mine
    autoregress info photos.areg

    Args:
        run: A run folder, one that ar.save wrote, the name of a bundled model, such as digits, or a
            file that compress wrote.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]

    def __call__(self) -> None:
        from autoregress.storage import load, read_config
        from autoregress.training.log import read_log

        if self.run.is_file():
            show(of_file(self.run))
            return
        if holds_table(self.run):
            print(schema_of(self.run))
            return
        model = load(self.run)
        symbols = model.symbols
        lines: dict[str, Any] = {
            "model": type(model).__name__,
            "event shape": symbols.event_shape,
            "levels": shortened(symbols.compact),
            "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
            "members": len(model.members),
            **{name: shortened(value) for name, value in model.options.items()},
        }
        if symbols.columns:
            lines["columns"] = ", ".join(
                f"{name} ({levels})"
                for name, levels in zip(symbols.columns.names, symbols.levels, strict=True)
            )
        for key, value in (read_config(self.run)["training"] or {}).items():
            lines[f"training: {key}"] = value
        log = self.run / "log.jsonl"
        if log.exists():
            epochs = read_log(log)
            best = min(epochs, key=lambda e: e["valid_nats"] or math.inf, default=None)
            lines["epochs"] = len(epochs)
            if best and best["valid_nats"] is not None:
                lines["best epoch"] = f"{best['epoch']}: {best['valid_nats']:.4f} validation nats"
        show(lines)


def of_file(path: Path) -> dict[str, Any]:
    """What a compressed file says of itself, which needs no model."""
    from autoregress.archive.contents import Contents

    with path.open("rb") as file:
        try:
            contents = Contents(file, skips=True)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        for _ in contents.chunks():  # which finds the damaged ones
            pass
    header, size = contents.header, path.stat().st_size
    levels = [k for k, _, count in header.kinds for _ in range(count)]
    symbols = contents.count * len(levels)
    return {
        "model": f"{header.family}, {'inside' if contents.weights else 'not inside'}",
        "digest of the model": header.model.hex(),
        "event shape": header.event_shape,
        "levels": shortened(levels[0] if len(set(levels)) == 1 else levels),
        "examples": f"{contents.count:,}",
        "size": f"{size:,} bytes, {8 * size / max(1, symbols):.4f} bits/dim",
        "restores": (contents.manifest or {}).get("kind", "symbols"),
        "damaged": f"{sum(map(len, contents.lost)):,} examples"
        + (", and the end is missing" if contents.cut else ""),
    }


def show(lines: dict[str, Any]) -> None:
    width = max(map(len, lines))
    for key, value in lines.items():
        print(f"{key:{width}}  {value}")


def shortened(value: Any, most: int = 12) -> str:
    """A value for one line: of many numbers the first few, and their number."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"{len(value)} given"
    if not isinstance(value, list) or len(value) <= most:
        return str(value)
    return f"[{', '.join(map(str, value[:most]))}, …] ({len(value)} numbers)"

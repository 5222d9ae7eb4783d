"""A summary of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from autoregress.cli.tables import holds_table, schema_of


@dataclass(frozen=True)
class Info:
    """Show what a run folder or a saved model holds.

    autoregress info runs/mine

    Args:
        run: A run folder, one that ar.save wrote, or the name of a bundled model, such as digits.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]

    def __call__(self) -> None:
        from autoregress.storage import load, read_config
        from autoregress.training.log import read_log

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

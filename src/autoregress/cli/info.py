"""A summary of a run."""

from __future__ import annotations

import json
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
        run: A run folder, or one that ar.save wrote.
    """

    run: Annotated[Positional[Path], arg(metavar="RUN")]

    def __call__(self) -> None:
        from autoregress.storage import load, read_config

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
        try:
            for key, value in read_config(self.run).get("training", {}).items():
                lines[f"training: {key}"] = value
            lines |= self._epochs(self.run / "log.jsonl")
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{self.run}: config.json or log.jsonl is damaged") from error
        width = max(map(len, lines))
        for key, value in lines.items():
            print(f"{key:{width}}  {value}")

    def _epochs(self, log: Path) -> dict[str, Any]:
        """The number of epochs, and the best of them."""
        if not log.exists():
            return {}
        epochs = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        scored = [epoch for epoch in epochs if epoch["valid_nats"] is not None]
        found: dict[str, Any] = {"epochs": len(epochs)}
        if scored:
            best = min(scored, key=lambda epoch: epoch["valid_nats"])
            found["best epoch"] = f"{best['epoch']}: {best['valid_nats']:.4f} validation nats"
        return found


def shortened(value: Any, most: int = 12) -> str:
    """A value for one line: of many numbers the first few, and their number."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"{len(value)} given"
    if not isinstance(value, list) or len(value) <= most:
        return str(value)
    return f"[{', '.join(map(str, value[:most]))}, …] ({len(value)} numbers)"

"""How verbs put what is too long for a line."""

from __future__ import annotations

from typing import Any


def shortened(value: Any, most: int = 12) -> str:
    """A value for a line: of many numbers the first, and how many there are."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        return f"{len(value)} given"
    if not isinstance(value, list) or len(value) <= most:
        return str(value)
    return f"[{', '.join(map(str, value[:most]))}, …] ({len(value)} numbers)"

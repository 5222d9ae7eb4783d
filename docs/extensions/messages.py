"""The error messages of the package, read from its source."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ERRORS = {
    "AssertionError",
    "FloatingPointError",
    "ImportError",
    "IndexError",
    "TypeError",
    "ValueError",
}


@dataclass(frozen=True)
class Message:
    """A message, with … for what differs each time, and the line of the file that has it."""

    text: str
    file: Path
    line: int


def messages(file: Path) -> Iterator[Message]:
    """The messages of the errors that a file makes, in order."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = ast.unparse(node.func)
        if name in ERRORS:
            text = _text(node.args[0])
        elif name in ("_require", "_require_one_of"):  # the rule, before what was given instead
            text = " ".join(_text(argument) for argument in node.args if _is_text(argument))
        else:
            continue
        if any(letter.isalpha() for letter in text):
            found.append(Message(text, file, node.lineno))
    yield from sorted(found, key=lambda message: message.line)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _text(node: ast.expr) -> str:
    """The words of an expression that makes a message."""
    match node:
        case ast.Constant(str() as text):
            return text
        case ast.JoinedStr(parts):
            return "".join(_text(part) for part in parts)
        case ast.BinOp(left, ast.Add(), right):
            return _text(left) + _text(right)
        case ast.IfExp(_, body, other):
            return f"{_text(body)} / {_text(other)}"
    return "…"

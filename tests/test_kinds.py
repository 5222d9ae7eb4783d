"""Values from JSON are what they are expected to be, or the message says where they are not."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoregress.disk import parse_json
from autoregress.kinds import LIMIT, Count, as_kind

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@dataclass(frozen=True)
class Inner:
    names: tuple[str, ...]
    share: float = 0.5


class Outer(TypedDict):
    count: Count
    either: int | tuple[int, int]
    way: Literal["up", 2]
    inner: Inner | None
    others: dict[str, list[bool]]
    anything: Any


OUTERS = st.fixed_dictionaries(
    {
        "count": st.integers(0, LIMIT - 1),
        "either": st.integers(-LIMIT, LIMIT - 1)
        | st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
        "way": st.sampled_from(["up", 2]),
        "inner": st.none() | st.builds(Inner, st.tuples(st.text("ab")), st.floats(0, 1)),
        "others": st.dictionaries(st.text(), st.lists(st.booleans())),
        "anything": JSON,
    }
)


@given(value=OUTERS)
def test_what_was_written_as_json_comes_back(value):
    text = json.dumps(value, default=asdict)
    assert parse_json(text.encode(), Outer) == value


@given(value=OUTERS, key=st.sampled_from(list(Outer.__annotations__)), other=JSON)
def test_another_value_is_refused_unless_it_is_of_the_kind(value, key, other):
    content = json.loads(json.dumps(value | {key: other}, default=asdict))
    try:
        back = as_kind(content, Outer)
    except ValueError as error:
        assert f"its content.{key}" in str(error)  # noqa: PT017
    else:
        assert json.loads(json.dumps(back, default=asdict))[key] == content[key] or key == "inner"


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (True, int, "must be a whole number, not True"),
        (1.0, int, "must be a whole number, not 1.0"),
        (LIMIT, int, "must be a whole number"),
        (-1, Count, "must be a whole number from 0, not -1"),
        (10**30, float, "must be a number"),
        (1, bool, "must be true or false, not 1"),
        ("\ud800", str, "must be a text"),
        (True, Literal[1, 2], "must be 1 or 2, not True"),
        ([1, "x"], tuple[int, ...], r"content\[1\] must be a whole number, not 'x'"),
        ([1, 2, 3], tuple[int, int], r"must be a list, not \[1, 2, 3\]"),
        ({"a": {"b": None}}, dict[str, dict[str, int]], r"content\.a\.b must be a whole number"),
        ({"share": 1}, Inner, "content lacks names"),
        ({"names": 3}, Inner | None, r"content\.names must be a list, not 3"),
        ("x", int | tuple[int, ...], "must be a whole number or a list, not 'x'"),
        ("x" * 9999, int, "must be a whole number, not 'x{1,60}.*x'$"),
    ],
)
def test_a_wrong_value_is_named(value, kind, message):
    with pytest.raises(ValueError, match=message):
        as_kind(value, kind)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is not JSON at line 1, column 1"),
        (b'{"a":\n 1,}', "it is not JSON at line 2"),
        (b"\xff", "it is not UTF-8 text"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "it is nested too deeply"),
        (b"9" * 5000, "a number of too many digits"),
    ],
)
def test_text_that_is_not_json(content, message):
    with pytest.raises(ValueError, match=message):
        parse_json(content, dict[str, Any])

"""Tables: what a column is, exact masses, gaps, questions, and answers that hold."""

import csv
import itertools
import json
import math
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import torch
from conftest import run
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import autoregress as ar
from autoregress.conditionals import Scale
from autoregress.networks import encoding as networks
from autoregress.tables.answers import Distribution
from autoregress.tables.cells import Cells
from autoregress.tables.columns import Column, Labels
from autoregress.tables.dates import Dates
from autoregress.tables.density import Density
from autoregress.tables.frames import as_cells
from autoregress.tables.numbers import Numbers, whole
from autoregress.tables.questions import parse
from autoregress.tables.schema import Schema, column_from_json


def rows(count: int, seed: int = 0) -> dict[str, list[Any]]:
    """Columns that depend on one another, with gaps."""
    rng = np.random.default_rng(seed)
    smoker = rng.random(count) < 0.3
    age = np.clip(rng.normal(40 + 15 * smoker, 12, count), 18, 90).round()
    cost = np.exp(rng.normal(6 + smoker + age / 60, 0.7, count)).round(2)
    region = rng.choice(["north", "south", "east"], count, p=[0.5, 0.3, 0.2])
    columns: dict[str, list[Any]] = {
        "smoker": ["yes" if s else "no" for s in smoker],
        "age": age.astype(int).tolist(),
        "cost": cost.tolist(),
        "region": region.tolist(),
    }
    for values in columns.values():
        for row in np.flatnonzero(rng.random(count) < 0.05):
            values[row] = None
    return columns


@pytest.fixture(scope="module")
def table() -> ar.Table:
    """Trained for a moment: what holds must hold of any model."""
    return ar.Table.fit(rows(300), quiet=True, max_epochs=4, network={"hidden": (32,)})


def independent(columns: dict[str, list[Any]]) -> ar.Table:
    """A table whose model is of independent columns."""
    cells = as_cells(columns)
    schema = Schema.infer(list(cells.values()))
    own = schema.columns
    model = ar.MADE(
        len(own), [column.levels for column in own], hidden=(4,), evidence=True, gaps=True,
        ordered=tuple(column.ordered for column in own),
    )  # fmt: skip
    torch.nn.init.zeros_(model.output.weight)
    model.start_from(torch.from_numpy(np.stack([e.symbols for e in schema.encode(cells)], 1)))
    return ar.Table(schema, model)


# Columns


@given(
    hnp.arrays(np.int64, st.integers(1, 60), elements=st.integers(-(10**9), 10**9)),
    st.integers(0, 3),
)
def test_the_mass_of_a_number_is_the_difference_of_its_distribution(values, zeros):
    values = np.concatenate([values, np.zeros(zeros)]).astype(float)
    density = Density.fit(values)
    some = np.unique(np.concatenate([values, values + 1, values - 1, [0.0, 1e6]]))
    below, upto = density.cdf(some - 1), density.cdf(some)
    np.testing.assert_allclose(np.exp(density.log_mass(some)), upto - below, atol=1e-9)
    assert density.cdf(np.array([1e18]))[0] == pytest.approx(1, abs=1e-6)
    assert density.cdf(np.array([-1e18]))[0] == pytest.approx(0, abs=1e-6)


def test_what_is_far_away_is_stranger_and_still_possible():
    cells = Cells.of("x", [f"{v:.2f}" for v in np.random.default_rng(0).normal(50, 9, 500)])
    column = Numbers.fit(cells, 2)
    far = Cells.of("x", ["90", "1000", "1e9", "1e12", "-1e9"])
    found = column.encode(far)
    ends = found.symbols[1:]
    assert set(ends.tolist()) <= {0, column.levels - 1}
    assert np.isfinite(found.details).all()
    assert found.details[1] > found.details[2] > found.details[3]


def masses(column: Column, texts: list[str]) -> np.ndarray:
    found = column.encode(Cells.of(column.name, texts))
    assert (found.symbols >= 0).all()
    return np.bincount(found.symbols, np.exp(found.details), column.levels)


def test_given_a_symbol_the_masses_of_its_cells_sum_to_one():
    rng = np.random.default_rng(0)
    dense = Numbers.fit(Cells.of("n", [str(v) for v in rng.poisson(9, 99)]), 0)
    inner = masses(dense, [str(v) for v in range(int(dense.low), int(dense.high) + 1)])
    np.testing.assert_allclose(inner[1:-1], 1)
    wide = Numbers.fit(Cells.of("n", [str(v) for v in rng.integers(0, 5000, 400)]), 0)
    np.testing.assert_allclose(masses(wide, [str(v) for v in range(-1000, 6000)])[1:-1], 1)
    texts = ["a"] * 50 + ["b"] * 30 + ["c", "c", "d"]
    labels = Labels.fit(Cells.of("t", texts), most=2)
    np.testing.assert_allclose(masses(labels, ["a", "b", "c", "d", "never seen"]), 1)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "2", "5", "9"] * 5, "number"),
        (["1.5", "2", "", "9.25"] * 5, "number"),
        (["1,5", "2", "3", "9,25"] * 5, "number"),
        ([f"{n * 997:,}" for n in range(30)], "number"),
        (["1e3", "-2.5E-2", "7", "8"] * 5, "number"),
        (["True", "false", "TRUE", ""] * 5, "boolean"),
        (["0", "1"] * 5, "boolean"),
        (["yes", "No", "NA"] * 5, "boolean"),
        (["101", "205", "330"] * 5, "category"),
        (["007", "012", "100"] * 5, "category"),
        (["2001-02-03", "1999-12-31"] * 5, "date"),
        (["31.12.1999", "01.02.2003"] * 5, "date"),
        (["12/31/1999", "02/01/2003"] * 5, "date"),
        (["2001-02-03T04:05:06", "1999-12-31T00:00:00"] * 5, "date"),
        (["Jan 1 2000", "Feb 1 2000"] * 5, "date"),
        ([str(n) for n in range(1, 30)], "identifier"),
        ([f"name {n}" for n in range(30)], "identifier"),
        (["same"] * 9, "constant"),
        (["", "NA", "?"], "constant"),
        (["red", "green", "red"] * 5, "category"),
    ],
)
def test_what_a_column_is(texts, kind):
    schema = Schema.infer([Cells.of("it", texts), Cells.of("other", ["x", "y"] * len(texts))])
    (found,) = (c for c in (*schema.columns, *schema.left_out) if c.name == "it")
    assert found.kind == kind


def test_numbers_are_read_to_the_last_digit():
    for texts, expected in [
        (["1,5", "2", "9,25"], {150, 200, 925}),
        (["1,234.50", "12,000", "5"], {12345, 120000, 50}),
        (["0.001", "1e3", "2"], {1, 1000000, 2000}),
    ]:
        (column,) = Schema.infer([Cells.of("n", texts * 3)]).columns
        assert isinstance(column, Numbers)
        assert set(column.numbers(Cells.of("n", texts)).tolist()) == expected


@given(
    st.lists(st.decimals(-(10**9), 10**9, allow_nan=False, places=None).map(str), min_size=1),
    st.integers(-3, 9),
)
def test_numbers_in_units_of_the_resolution_are_those_of_exact_arithmetic(texts, decimals):
    exact = [float(round(Decimal(text).scaleb(decimals))) for text in texts]
    assert whole(texts, decimals).tolist() == exact
    if fast := [t for t in texts if Decimal(t).scaleb(decimals) % 1 == 0]:  # none between two
        assert whole(fast, decimals).tolist() == [float(Decimal(t).scaleb(decimals)) for t in fast]


def test_columns_of_arrow_are_read_by_their_distinct_values():
    import pyarrow as pa

    values: dict[str, list[Any]] = {
        "label": ["b", None, "a ", "b", "a"],
        "number": [1.5, math.nan, None, 2.0, 1.5],
        "flag": [True, False, None, True, True],
        "parts": [[1], [2, 3], None, [1], []],
    }
    table = pa.table({name: pa.array(column) for name, column in values.items()})
    labels = table.column("label").dictionary_encode()
    table = table.append_column("coded", labels)
    found = as_cells(pa.concat_tables([table, table]))
    expected = as_cells({n: 2 * c for n, c in {**values, "coded": values["label"]}.items()})
    for name, cells in expected.items():
        assert found[name].values() == cells.values()
        assert found[name].source == cells.source


def test_na_among_countries_is_namibia():
    texts = ["DE", "FR", "NA", "US", "GB", "IT"] * 3
    schema = Schema.infer([Cells.of("country", texts)])
    assert "NA" in schema.columns[0].labels  # type: ignore[attr-defined]
    assert any("NA" in note for note in schema.notes)


def test_kinds_can_be_overridden_and_wrong_ones_are_named():
    cells = [Cells.of("zip", ["101", "205", "330"] * 5), Cells.of("n", ["1", "2", "3"] * 5)]
    assert Schema.infer(cells, kinds={"zip": "number", "n": "category"}).columns[0].kind == "number"
    with pytest.raises(ValueError, match="no column 'age'"):
        Schema.infer(cells, kinds={"age": "number"})
    with pytest.raises(ValueError, match="'zip' holds no dates"):
        Schema.infer(cells, kinds={"zip": "date"})


def test_a_schema_is_restored_whole():
    cells = list(as_cells(rows(120)).values())
    dates = Cells.of("day", [f"2001-0{1 + n % 9}-0{1 + n % 7}" for n in range(120)])
    schema = Schema.infer([*cells, dates], absent=["region"])
    other = Schema.from_json(schema.to_json())
    assert other.to_json() == schema.to_json()
    for column in schema.columns:
        assert column_from_json(column.to_json()).to_json() == column.to_json()
    table = {c.name: c for c in (*cells, dates)}
    pairs = zip(schema.encode(table), other.encode(table), strict=True)
    assert all(np.array_equal(a.symbols, b.symbols) for a, b in pairs)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_separators_and_encodings_are_told(tmp_path, separator, encoding):
    path = tmp_path / "a.csv"
    lines = [["näme", "x"], ["é", "1"], ["ö", "2"], ["é", "3"]]
    path.write_bytes("\r\n".join(separator.join(line) for line in lines).encode(encoding))
    cells = as_cells(path)
    assert {name: each.values() for name, each in cells.items()} == {
        "näme": ["é", "ö", "é"],
        "x": ["1", "2", "3"],
    }


@pytest.mark.parametrize(
    ("text", "said", "columns"),
    [
        ("a,b,\n1,2,\n3,4,\n", "", {"a": ["1", "3"], "b": ["2", "4"]}),
        ("a,b\n1,2,\n3,4,\n5,6,\n", "", {"a": ["1", "3", "5"], "b": ["2", "4", "6"]}),
        ("x,y\nm,1,2\nn,3,4\n", "", {"": ["m", "n"], "x": ["1", "3"], "y": ["2", "4"]}),
        (
            "made by us\n# in 2020, twice\na;b;c\n1,5;2;3\n4;5;6\n7;8;9\nsource: us\n",
            "t.csv: separated by semicolons, 2 lines before the table left out, "
            "1 line after the table left out",
            {"a": ["1,5", "4", "7"], "b": ["2", "5", "8"], "c": ["3", "6", "9"]},
        ),
        ("1,2\n3,4\n", "t.csv: without a header", {"0": ["1", "3"], "1": ["2", "4"]}),
        ("a  b\n1 2\n  3   4 \n", "t.csv: separated by spaces", {"a": ["1", "3"], "b": ["2", "4"]}),
        (
            "Prices of 2020,,\na,b,c\n1,2,3\n4,5,6\n7,8,9\nSource: us,,\n",
            "t.csv: 1 line before the table left out, 1 line after the table left out",
            {"a": ["1", "4", "7"], "b": ["2", "5", "8"], "c": ["3", "6", "9"]},
        ),
        (
            "a,b,c\n[],kg,m\nx,y,z\n" + "k,2,3\n" * 6,
            "t.csv: 2 lines under the header left out",
            {"a": ["k"] * 6, "b": ["2"] * 6, "c": ["3"] * 6},
        ),
        (
            "a,b\nx,1\na,b\ny,2\nz,3\nw,4\nTotal,10\n",
            "t.csv: 1 line that repeats the header left out, a last line of totals left out",
            {"a": ["x", "y", "z", "w"], "b": ["1", "2", "3", "4"]},
        ),
        (
            "18,chevrolet,3.5\n15,buick,3.5\n18,chevrolet,3.4\n",
            "t.csv: without a header",
            {
                "0": ["18", "15", "18"],
                "1": ["chevrolet", "buick", "chevrolet"],
                "2": ["3.5", "3.5", "3.4"],
            },
        ),
        (
            "p,x,s\ne,x,s\np,b,y\n",
            "t.csv: without a header",
            {"0": ["p", "e", "p"], "1": ["x", "x", "b"], "2": ["s", "s", "y"]},
        ),
        (",0,1\nx,2,3\ny,4,0\n", "", {"": ["x", "y"], "0": ["2", "4"], "1": ["3", "0"]}),
        (
            "who,1990,1991\nx,2,3\ny,4,5\n",
            "",
            {"who": ["x", "y"], "1990": ["2", "4"], "1991": ["3", "5"]},
        ),
        (
            "a,b,c\n1,2,3\n4,5\n6,,8\n",
            "t.csv: 1 line with too few cells, of which the last are missing",
            {"a": ["1", "4", "6"], "b": ["2", "5", ""], "c": ["3", "", "8"]},
        ),
    ],
)
def test_what_a_file_holds_beside_its_table(tmp_path, text, said, columns):
    path = tmp_path / "t.csv"
    path.write_text(text)
    found = as_cells(path)
    assert found.said == said
    assert {name: cells.values() for name, cells in found.items()} == columns


def test_a_row_of_another_width_is_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3,4,5\n6,7\n")
    with pytest.raises(ValueError, match="row 3 has 3 cells, but most have 2; remove"):
        as_cells(path)
    path.write_text("a,b,c,d\n1,2,3,4\n5,6\n7,8,9,0\n")
    with pytest.raises(ValueError, match="row 3 has 2 cells, but most have 4; remove"):
        as_cells(path)


def test_what_is_no_table_is_refused_in_a_sentence(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("1, " * 9 + "x" * 200_000 + "\n")
    with pytest.raises(ValueError, match="not a table of separated cells"):
        as_cells(path)
    said = r"no column to learn; left out: '0' \(every cell is '0'\); .{,80}; …; .* 0=category"
    with pytest.raises(ValueError, match=said):
        Schema.infer(list(as_cells({str(n): [str(n)] * 3 for n in range(9)}).values()))


def test_marks_between_digits_are_said():
    cells = as_cells({"a": ["1,234", "5,000", "12,345,678"] * 9, "b": ["1,5", "2,25", "3"] * 9})
    schema = Schema.infer(list(cells.values()), kinds={"a": "number"})
    assert schema.column("a").value("12,345,678") == 12345678
    assert schema.column("b").value("2,25") == 2.25
    assert "a: the commas in numbers such as 1,234 are thousands" in schema.notes
    assert "b: numbers such as 1,5 have a decimal comma" in schema.notes


@pytest.mark.parametrize("format", ["%m/%d/%Y", "%d/%m/%Y"])
def test_days_and_months_are_told_by_the_steps_of_a_series(format):
    months = pd.date_range("1990-09-01", periods=40, freq="MS")
    cells = as_cells({"month": months.strftime(format).tolist()})["month"]
    column = Schema.infer([cells]).column("month")
    assert isinstance(column, Dates)
    days = [(month - pd.Timestamp(1970, 1, 1)).days for month in months]
    assert column.numbers(cells).tolist() == days


@pytest.mark.parametrize(
    "texts",
    [
        ["1887-05-12 00:00:00", "2013-10-01 22:20:10.165196"],
        ["2013-10-01T22:20:10.125Z", "2013-10-01T22:20:10.000Z"],
        ["2013-10-01T22:20:10Z", "2013-10-02T00:00:00Z"],
        ["2013-10-01 22:20:10+02:00", "2013-10-02 00:00:00+02:00"],
        ["01/10/2013 22:20", "28/10/2013 00:00"],
    ],
)
def test_times_come_back_as_they_were_written(texts):
    cells = Cells.of("when", texts * 6)
    column = Schema.infer([cells]).column("when")
    assert isinstance(column, Dates)
    assert [column.text(n) for n in column.numbers(cells)] == texts


YEARS = st.datetimes(datetime(1700, 1, 1), datetime(2255, 1, 1))


@given(when=YEARS, zone=st.sampled_from(["", "Z", "+05:30"]))
def test_a_time_comes_back_to_the_microsecond(when, zone):
    texts = [when.isoformat(sep=" ") + zone, "2000-01-01 00:00:00.000001" + zone]
    cells = Cells.of("when", texts * 2)
    column = Schema.infer([cells], kinds={"when": "date"}).column("when")
    assert isinstance(column, Dates)
    assert [column.text(n) for n in column.numbers(cells)] == list(cells.texts)


def test_times_of_any_precision_are_the_times_they_are():
    texts = ["2001-02-03", "2001-02-03 04:05", "2001-02-03 04:05:00.5", "2001-02-03T04:05:06"]
    texts += ["2001-02-03 04:05:06Z", "2001-02-03 04:05:06+02:00"]
    cells = Cells.of("when", texts * 3)
    schema = Schema.infer([cells])
    column = schema.column("when")
    assert isinstance(column, Dates)
    midnight = (datetime(2001, 2, 3) - datetime(1970, 1, 1)) // timedelta(milliseconds=1)
    expected = [0, 245 * 60_000, 245 * 60_000 + 500, *[246 * 60_000 - 54_000] * 2]
    expected.append(expected[-1] - 2 * 3_600_000)
    assert (column.numbers(cells) - midnight).tolist() == expected
    assert schema.notes == (
        "when: times of several zones are read as those of UTC, where none is written",
    )
    with pytest.raises(ValueError, match="is not a date written like"):
        column.value("half past three")


def test_days_of_a_year_are_symbols_that_recur_every_week():
    days = np.datetime64("2022-03-01") + np.arange(0, 900, 3)
    column = Schema.infer([Cells.of("day", days.astype(str).tolist())]).column("day")
    assert isinstance(column, Dates)
    assert column.periods == (7, 365.2425)
    every = Cells.of("day", (days[0] + np.arange(890)).astype(str).tolist())
    symbols = torch.from_numpy(column.encode(every).symbols)
    assert symbols.diff().unique().tolist() == [1]
    kind = networks.Numbers(column.levels, 5, column.periods[:1])
    scale = Scale.of(torch.zeros(column.levels))
    waves = kind.encode(symbols, torch.float64, scale)[:, 3:]
    assert torch.equal(waves[7:], waves[:-7])
    assert len(waves.unique(dim=0)) == 7


def test_what_floating_point_adds_to_numbers_is_left_out():
    texts = [repr(0.1 * n) for n in range(1, 60)]  # 0.30000000000000004 is the third
    table = [Cells.of(name, texts) for name in ("a", "b", "c", "d", "e")]
    schema = Schema.infer([*table, Cells.of("f", [repr(n / 7) for n in range(1, 60)])])
    columns = [column for column in schema.columns if isinstance(column, Numbers)]
    assert [column.decimals for column in columns[:5]] == [1] * 5
    assert columns[5].decimals > 12
    assert columns[0].text(columns[0].numbers(table[0])[2]) == "0.3"
    (note,) = schema.notes
    assert note.startswith("a, b, c and 2 others: ")


@pytest.mark.slow
def test_what_happens_on_sundays_is_learnt():
    rng = np.random.default_rng(0)
    days = np.datetime64("2020-01-01") + rng.integers(0, 1400, 600)
    sunday = (days.astype(int) + 4) % 7 == 0
    sold = np.where(sunday, rng.random(600) < 0.9, rng.random(600) < 0.05)
    frame = pd.DataFrame({"day": days.astype(str), "sold": np.where(sold, "yes", "no")})
    table = ar.Table.fit(frame, quiet=True, max_epochs=50, network={"hidden": (64, 64)})
    weeks = [np.datetime64("2020-06-07") + 7 * n for n in range(0, 140, 20)]
    for shift, low, high in ((0, 0.6, 1), (3, 0, 0.3)):
        asked = [table.distribution("sold", {"day": str(day + shift)}) for day in weeks]
        shares = [own.items()["yes"] for own in asked]
        assert low < np.mean(shares) < high
    everything = {"day": (days.min() + np.arange(1401)).astype(str).tolist()}
    assert 0.9 < np.exp(table.log_prob(everything)).sum() < 1


@pytest.mark.parametrize(
    ("texts", "shown", "value"),
    [
        ([f"{n}%" for n in range(0, 90, 7)], "77%", 77.0),
        ([f"${n},500.25" for n in range(1, 13)], "$12500.25", 12500.25),
        ([f"-${n}.5" for n in range(1, 13)], "$-1.5", -1.5),
        ([f"{n},5 €" for n in range(12)], "11,5 €", 11.5),
    ],
)
def test_signs_beside_numbers_are_kept(texts, shown, value):
    cells = as_cells({"a": texts * 3})
    schema = Schema.infer(list(cells.values()))
    column = schema.column("a")
    assert isinstance(column, Numbers)
    assert column.value(shown) == value
    assert column.text(value * 10**column.decimals) == shown
    assert any("every number has the sign" in note for note in schema.notes)
    content = json.loads(json.dumps(column.to_json()))
    assert column_from_json(content).to_json() == column.to_json()


def test_what_may_be_read_otherwise_is_said(monkeypatch):
    columns = {
        "far": [1, 2, 4, -9] * 10,
        "near": [0, 2, 4, 9] * 10,
        "long": [*range(38), 9999, 9999],
        "code": [*(str(n / 10) for n in range(30)), *(["<0.1"] * 10)],
        "date": [f"19{80 + n // 12}{1 + n % 12:02}" for n in range(40)],
        "AreaKey": [7 * n * n for n in range(40)],
        "shop_id": [*range(20)] * 2,
        "paid": [*range(20)] * 2,
        "signs": ["$1", "€1", "2%", "$3"] * 10,
        "CAS": [13 * n * n + 7 for n in range(40)],
        "lines": ["a b\n  " + "c" * 99, "d"] * 20,
    }
    monkeypatch.setattr("autoregress.tables.schema.MANY", 30)
    schema = Schema.infer(list(as_cells(columns).values()))
    kinds = {name: kind for name, kind, _, _ in schema.report()}
    assert (kinds["date"], kinds["AreaKey"], kinds["signs"]) == (
        "date", "identifier, left out", "category"
    )  # fmt: skip
    assert (kinds["shop_id"], kinds["paid"]) == ("category", "number")
    said = {note.partition(":")[0]: note for note in schema.notes}
    assert "-9 is far from the other numbers" in said["far"]
    assert "9999 is far from the other numbers" in said["long"]
    assert "30 numbers are labels because of <0.1;" in said["code"]
    assert "a different whole number in every row" in said["CAS"]
    assert "near" not in said
    assert max(map(len, str(schema).splitlines())) < 130


def test_a_file_in_groups_of_rows_is_the_same_table(tmp_path, monkeypatch):
    frame = pd.DataFrame(rows(90))
    frame.to_parquet(tmp_path / "t.parquet")
    options: Any = {"quiet": True, "max_epochs": 2, "network": {"hidden": (8,)}}
    whole = ar.Table.fit(frame, **options)
    monkeypatch.setattr("autoregress.tables.frames.GROUP", 40)
    parts = ar.Table.fit(tmp_path / "t.parquet", **options)
    assert parts.schema.to_json() == whole.schema.to_json()
    assert np.array_equal(parts.log_prob(tmp_path / "t.parquet"), whole.log_prob(frame))
    monkeypatch.setattr("autoregress.tables.frames.SAMPLED", 45)
    some = ar.Table.fit(tmp_path / "t.parquet", **options)  # from the first and the last rows
    assert np.isfinite(some.log_prob(tmp_path / "t.parquet")).all()


def test_the_same_table_from_any_library(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    columns = rows(80)
    frame = pd.DataFrame(columns)
    frame.to_csv(tmp_path / "a.csv", index=False)
    for packed in (".gz", ".bz2", ".xz"):
        frame.to_csv(tmp_path / f"a.csv{packed}", index=False)
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    kinds = []
    for source in (
        columns, frame, pa.table(columns), tmp_path / "a.csv", tmp_path / "a.csv.gz",
        tmp_path / "a.csv.bz2", tmp_path / "a.csv.xz", tmp_path / "a.parquet",
    ):  # fmt: skip
        cells = as_cells(source)
        schema = Schema.infer(list(cells.values()))
        found = schema.encode(cells)
        kinds.append([each.symbols.tolist() for each in found])
    assert all(each == kinds[0] for each in kinds)


# Measuring


CELLS = st.sampled_from([None, 3, 2.5, True, "a, b", "c\nd", 'e "f"', date(2020, 2, 29)])


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=4, max_size=9))
def test_a_spreadsheet_is_read_as_its_text_is(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("sheet")
    # Something in every row and column, as empty ones at the end are no cells.
    rows = [["first", "second", "third"], *([n, "x", *row] for n, row in enumerate(rows))]
    rows[0] += ["fourth", "fifth"]
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(folder / "t.xlsx")
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    sheet, text = as_cells(folder / "t.xlsx"), as_cells(folder / "t.csv")
    assert {n: c.values() for n, c in sheet.items()} == {n: c.values() for n, c in text.items()}


def test_of_several_sheets_the_first_with_cells_is_read(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.create_sheet("people")
    born, at = datetime(1990, 5, 1), datetime(2020, 1, 1, 6)
    for row in (["born", "at"], [born, at], [None, None], ["#DIV/0!", at]):
        sheet.append(row)
    book.save(tmp_path / "t.xlsx")
    found = as_cells(tmp_path / "t.xlsx")
    assert {n: c.values() for n, c in found.items()} == {
        "born": ["1990-05-01", ""], "at": ["2020-01-01T06:00:00"] * 2,
    }  # fmt: skip
    assert found.said == "t.xlsx: sheet 'people' of 2"


def test_what_is_no_spreadsheet_is_refused(tmp_path):
    (tmp_path / "t.xlsx").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no spreadsheet, or damaged"):
        as_cells(tmp_path / "t.xlsx")
    openpyxl.Workbook().save(tmp_path / "t.xlsx")
    with pytest.raises(ValueError, match="is empty"):
        as_cells(tmp_path / "t.xlsx")


def test_the_probabilities_of_all_rows_sum_to_one(float64):
    columns = {"a": ["x", "y", "z", None] * 5, "b": ["0", "1"] * 10, "n": [1, 2, 4, 3, 2] * 4}
    table = ar.Table.fit(
        columns, quiet=True, max_epochs=2, network={"hidden": (8,), "orderings": 2}
    )
    # All cells: labels, one for all never seen; numbers far beyond the range on both sides.
    cells = [["x", "y", "z", "?!"], ["0", "1", "2"], list(range(-3000, 3000))]
    every = list(itertools.product(*cells))
    found = dict(zip(("a", "b", "n"), zip(*every, strict=True), strict=True))
    assert np.exp(table.log_prob(found)).sum() == pytest.approx(1, abs=1e-2)
    known = list(itertools.product(*cells[:2]))
    part = dict(zip(("a", "b"), zip(*known, strict=True), strict=True))
    assert np.exp(table.log_prob(part)).sum() == pytest.approx(1, abs=1e-6)
    one = {"a": cells[0], "b": [None] * 4, "n": [None] * 4}
    assert np.exp(table.log_prob(one)).sum() == pytest.approx(1, abs=1e-6)


def test_cells_beyond_what_was_seen_have_a_probability(table):
    strange = {"smoker": ["maybe"], "age": [10**9], "cost": [-5.0], "region": [None]}
    assert np.isfinite(table.log_prob(strange)).all()


def test_p_values_are_calibrated(table):
    x = table.sample(400, seed=3)
    found = table.explain(x)
    for dim in range(len(found.names)):
        p = found.p_value[:, dim]
        for share in (0.1, 0.5, 0.9):
            assert (p < share).mean() < share + 4 * math.sqrt(share * (1 - share) / 400)
        assert (p < 0.9).any()


def test_a_swapped_cell_is_blamed(table):
    found = table.explain({"smoker": ["no"], "age": [30], "cost": [2e6], "region": ["east"]})
    assert found.blamed() == ["cost"]


# Questions


QUESTIONS = [
    "smoker == 'yes'",
    "smoker != 'yes'",
    "age >= 60",
    "30 <= age < 40.5",
    "age in [30, 31, 32]",
    "cost > 1000.55 and smoker == 'no'",
    "cost > 1000 or smoker == 'no'",
    "not (age < 30 and region in ['north', 'south'])",
    "region == 'nowhere'",
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_and_its_opposite(table, question):
    given = {} if "region" in question else {"region": "north"}
    answer, other = (table.probability(q, given) for q in (question, f"not ({question})"))
    assert answer.exact
    assert other.exact
    assert answer.value + other.value == pytest.approx(1, abs=1e-5)
    assert 0 <= answer.value <= 1


def test_a_question_is_the_share_of_draws():
    """Of independent columns, whose model needs no training to agree with itself."""
    table = independent(rows(300))
    drawn = pd.DataFrame(table.sample(8000, {"smoker": "yes"}, seed=1))
    drawn["age"], drawn["cost"] = drawn["age"].astype(float), drawn["cost"].astype(float)
    for question in ("age >= 50", "cost < 1500 and age > 30", "region == 'east' or age < 40"):
        expected = float(drawn.eval(question).mean())
        answer = table.probability(question, {"smoker": "yes"})
        assert answer.value == pytest.approx(expected, abs=0.025)


def test_estimates_agree_with_enumeration(table, monkeypatch):
    questions = ["cost > 900 and age > 50 and smoker == 'no'", "cost > 3000 or age > 60"]
    exact = [table.probability(question) for question in questions]
    monkeypatch.setattr("autoregress.tables.table.ENUMERATED", 0)
    for question, answer in zip(questions, exact, strict=True):
        assert answer.exact
        estimates = [table.probability(question, seed=seed) for seed in range(5)]
        for estimate in estimates:
            assert not estimate.exact
            assert abs(estimate.value - answer.value) < 5 * estimate.standard_error


@pytest.mark.slow
def test_intervals_hold_the_exact_answer(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    from query_coverage import coverage

    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 300)
    columns = {"a": first.astype(str).tolist()}
    for name in "bcdef":
        first = (first + (rng.random(300) < 0.3)) % 3
        columns[name] = [["u", "v", "w"][each] for each in first]
    table = ar.Table.fit(columns, quiet=True, max_epochs=4, network={"hidden": (16,)})
    share = coverage(table, 300, seed=0, draws=1000)
    assert 0.91 < share < 0.985  # 95 %, and three standard errors of 300


def test_two_columns_are_compared_by_their_values():
    """Of independent columns, p is a sum over pairs of values."""
    rng = np.random.default_rng(0)
    columns = {
        "a": rng.integers(0, 6, 300).tolist(),
        "b": rng.integers(2, 9, 300).tolist(),
        "l": rng.choice(["x", "y"], 300).tolist(),
        "m": rng.choice(["y", "z"], 300).tolist(),
        "c": rng.normal(3, 2, 300).round(3).tolist(),
    }
    table = independent(columns)
    p = {name: table.distribution(name).items() for name in columns}

    def summed(left: str, right: str, test) -> float:
        pairs = itertools.product(p[left].items(), p[right].items())
        return sum(q * r for (v, q), (w, r) in pairs if test(v, w))

    greater = table.probability("a > b")
    assert greater.exact
    expected = summed("a", "b", lambda v, w: float(v) > float(w))
    assert greater.value == pytest.approx(expected, abs=2e-4)  # both may lie beyond their ranges
    assert table.probability("not a <= b").value == pytest.approx(greater.value)
    assert table.probability("l == m").value == pytest.approx(
        summed("l", "m", lambda v, w: v == w and v != "(other)"), abs=2e-4
    )
    drawn = table.probability("c < b")
    assert not drawn.exact
    expected = summed("c", "b", lambda v, w: float(v) < float(w))
    assert abs(drawn.value - expected) < 5 * drawn.standard_error


def test_missing_may_be_a_value_of_a_number(float64):
    rng = np.random.default_rng(0)
    sick = rng.random(200) < 0.5
    columns = {
        "sick": ["yes" if s else "no" for s in sick],
        "dose": [
            v if s else None for s, v in zip(sick, rng.integers(0, 90, 200).tolist(), strict=True)
        ],
        "cost": [
            None if rng.random() < 0.3 else v for v in rng.normal(9, 3, 200).round(2).tolist()
        ],
    }
    table = ar.Table.fit(
        columns, absent=["dose"], quiet=True, max_epochs=8, network={"hidden": (16,)}
    )
    for known in ({"sick": "yes"}, {"sick": "no"}):
        missing = table.probability("dose is None", known)
        rest = [table.probability(q, known).value for q in ("dose >= 40", "dose < 40")]
        assert missing.exact
        assert missing.value + sum(rest) == pytest.approx(1)
    assert table.probability("dose is None", {"sick": "no"}).value > 0.5
    assert 0 <= table.distribution("dose", {"sick": "yes"}).mean() <= 90
    one, other = table.log_prob({"dose": [None, 50], "cost": [None, None]})
    assert one < 0  # it is part of what is measured
    assert one > other
    full = table.impute(columns)
    assert full["dose"].count(None) == (~sick).sum()
    assert None not in full["cost"]
    assert None in table.sample(50, {"sick": "no"})["dose"]
    restored = Schema.from_json(json.loads(json.dumps(table.schema.to_json())))
    assert restored.column("dose").levels == table.schema.column("dose").levels


def test_the_mean_of_dates_is_a_date():
    days = [f"{day:02}.03.2024" for day in range(1, 32)]
    column = Schema.infer([Cells.of("day", days)], kinds={"day": "date"}).column("day")
    p = np.full(column.levels, 1 / column.levels)
    assert str(Distribution(column, p)).startswith("mean 16.03.2024; quantiles 5% ")


def test_distributions(table):
    found = table.distribution("age", {"smoker": "yes"})
    assert found.probabilities.sum() == pytest.approx(1)
    quantiles = [float(found.quantile(share)) for share in (0.05, 0.5, 0.95)]
    assert quantiles == sorted(quantiles)
    assert quantiles[0] < found.mean() < quantiles[-1]
    assert float(found.quantile(0.5)) == pytest.approx(found.mean(), abs=15)
    labels = table.distribution("region").items()
    assert sum(labels.values()) == pytest.approx(1)
    assert max(labels, key=lambda label: labels[label]) == "north"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("ag >= 3", "no column 'ag'"),
        ("age >= 'old'", "holds numbers, not 'old'"),
        ("region > 'a'", "have no order"),
        ("region == north", "texts stand in quotes"),
        ("import os", "cannot be read"),
        ("__import__('os').system('true')", "not a comparison"),
        ("age", "not a comparison"),
        ("age > region", "columns of labels by == and !="),
        ("region > smoker", "columns of labels by == and !="),
        ("age is None", "a missing cell is unknown"),
        ("(" * 500 + "age > 3" + ")" * 500, "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_questions_that_have_no_answer(table, question, message):
    with pytest.raises(ValueError, match=message):
        parse(question, table.schema)


# Filling in


@pytest.mark.parametrize("how", ["mode", "mean", "draw"])
def test_only_what_is_missing_is_filled_in(table, how):
    frame = pd.DataFrame(rows(60, seed=5))
    frame["unknown to the model"] = np.arange(60)
    full = table.impute(frame, how)
    assert isinstance(full, pd.DataFrame)
    assert list(full.columns) == list(frame.columns)
    assert not full.isna().any().any()
    known = frame.notna()
    assert (full.where(known) == frame.where(known)).where(known, True).all().all()


def test_categories_of_a_frame_remain_so():
    size = pd.Categorical(["low", "high", None] * 20, ["low", "middle", "high"], ordered=True)
    frame = pd.DataFrame({"size": size, "x": range(60)})
    table = independent(frame.to_dict("list"))
    full = table.impute(frame, "draw")
    assert full["size"].dtype == frame["size"].dtype
    assert full["size"].notna().all()


def test_draws_of_an_imputation_differ_where_cells_are_missing(table):
    frame = pd.DataFrame(rows(60, seed=4))
    several = table.impute(frame, how="draw", n=3)
    gaps = table.gaps(frame)
    assert len(several) == 3
    for name, own in gaps.items():
        assert np.array_equal(own, frame[name].isna())
        for each in several:
            assert (each[name][~own] == frame[name][~own]).all()
            assert each[name].notna().all()
    assert not several[0].equals(several[1])
    with pytest.raises(ValueError, match="number of draws"):
        table.impute(frame, n=3)


def test_days_and_times_of_a_frame_are_filled_in_as_such():
    import pyarrow as pa

    day = [pd.Timestamp(2020, 1 + n % 3, 1 + n % 20).date() if n % 7 else None for n in range(40)]
    time = [pd.Timestamp(2020, 1, 1 + n % 20, n % 24) if n % 5 else None for n in range(40)]
    kinds = {"day": pa.date32(), "time": pa.timestamp("us")}
    frame = pa.table({"day": day, "time": time}, pa.schema(kinds))
    table = ar.Table.fit(frame, quiet=True, max_epochs=1, network={"hidden": (8,)})
    full = table.impute(frame, "draw")
    assert full.schema == frame.schema
    assert full.column("day").null_count == full.column("time").null_count == 0
    pairs = zip(full.column("day").to_pylist(), day, strict=True)
    assert all(new == old for new, old in pairs if old)
    assert table.sample(3, like=frame).num_rows == 3


def test_a_table_of_texts_fills_numbers_of_a_frame_with_numbers():
    rng = np.random.default_rng(0)
    texts = {
        "age": [str(v) for v in rng.integers(20, 80, 60)],
        "cost": [f"{v:.2f}" for v in rng.normal(9, 3, 60)],
        "kind": [str(v) for v in rng.choice(["1", "2", "new"], 60)],
    }
    table = ar.Table.fit(
        texts, kinds={"kind": "category"}, quiet=True, max_epochs=1, network={"hidden": (8,)}
    )
    gaps = {
        "age": pd.array([33, None, 40], "Int64"),  # with pandas' NA, which equals nothing
        "cost": [None] * 3,
        "kind": [1, None, 2],
    }
    frame = pd.DataFrame(gaps, index=[7, 7, 7]).astype({"cost": "float32"})
    before = frame.copy()
    full = table.impute(frame)
    assert frame.equals(before)
    assert [full[name].dtype for name in ("age", "cost")] == ["Int64", "float32"]
    assert full["kind"].notna().all()
    drawn = table.sample(4, like=full)
    assert [drawn[name].dtype.kind for name in ("age", "cost")] == ["i", "f"]


def test_columns_of_arrow_keep_their_types():
    import pyarrow as pa

    cost = [Decimal(f"{n}.10") if n % 7 else None for n in range(40)]
    columns = {
        "count": pa.array([n % 9 if n % 5 else None for n in range(40)], pa.int16()),
        "cost": pa.array(cost, pa.decimal128(12, 2)),
        "share": pa.array([n / 8 if n % 3 else None for n in range(40)], pa.float32()),
        "size": pa.array(["low" if n % 4 else None for n in range(39)] + ["high"], pa.string()),
        "time": pa.array(pd.date_range("2020-01-01", periods=40).where(np.arange(40) < 39)),
    }
    frame = pa.table(columns | {"kind": columns["size"].dictionary_encode()})
    table = ar.Table.fit(frame, quiet=True, max_epochs=1, network={"hidden": (8,)})
    full = table.impute(frame)
    assert sum(column.null_count for column in full.columns) == 0
    assert full.schema.types == frame.schema.types
    pairs = zip(full["cost"].to_pylist(), cost, strict=True)
    assert all(new == old for new, old in pairs if old is not None)


def test_labels_that_are_numbers_are_drawn_as_such():
    frame = pd.DataFrame({"code": [101, 205, 330] * 20, "x": range(60)})
    table = independent(frame.to_dict("list"))
    table.model.output.bias.data[3] += 9  # of labels that were never seen
    drawn = table.sample(40, like=frame)
    assert set(drawn["code"].dropna()) <= {101, 205, 330}
    assert drawn["code"].isna().any()


def test_draws_have_what_is_given(table):
    drawn = table.sample(30, {"smoker": "yes", "age": 33})
    assert set(drawn["smoker"]) == {"yes"}
    assert set(drawn["age"]) == {"33"}
    assert len(set(drawn["cost"])) > 10


def test_what_is_given_must_have_been_seen(table):
    for ask in (table.sample, lambda _, given: table.distribution("age", given)):
        with pytest.raises(ValueError, match="no label 'yess', only no, yes"):
            ask(3, {"smoker": "yess"})
    assert table.distribution("cost", {"age": 200}).probabilities.sum() == pytest.approx(1)


def test_a_table_is_saved_whole(table, tmp_path):
    table.save(tmp_path)
    other = ar.Table.load(tmp_path)
    some = rows(20, seed=7)
    assert np.array_equal(table.log_prob(some), other.log_prob(some))
    (tmp_path / "schema.json").write_text('{"columns": []}')
    with pytest.raises(ValueError, match=r"schema.json"):
        ar.Table.load(tmp_path)


def test_a_model_that_is_not_trained_is_independent_columns():
    columns = rows(200)
    start = ar.Table.fit(columns, quiet=True, max_epochs=1, lr=1e-12, network={"hidden": (8,)})
    encoded = start.schema.encode(as_cells(columns))
    nats = 0.0
    for column, each in zip(start.schema.columns, encoded, strict=True):
        counts = np.bincount(each.symbols[each.symbols >= 0], minlength=column.levels) + 0.1
        share = np.log(counts / counts.sum())[np.maximum(each.symbols, 0)]
        nats += float(np.where(each.symbols >= 0, share + each.details, 0).sum())
    assert start.log_prob(columns).sum() == pytest.approx(nats, rel=0.03)


# The command line


def test_scores_are_the_same_as_text_and_as_parquet(tmp_path):
    path = tmp_path / "rows.csv"
    pd.DataFrame(rows(40)).to_csv(path, index=False)
    ar.Table.fit(path, quiet=True, max_epochs=1).save(tmp_path / "run")
    for out in ("scores.csv", "scores.parquet"):
        assert run("score", tmp_path / "run", path, "--out", tmp_path / out) == 0
    text = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False, na_values={"p_value_4": ""})
    typed = pd.read_parquet(tmp_path / "scores.parquet")
    pd.testing.assert_frame_equal(text, typed, check_dtype=False)
    assert typed["p_value_1"].dtype == typed["log_prob"].dtype == np.float64


@pytest.mark.parametrize("count", [19, 60])
def test_independent_columns_are_kept_where_the_model_is_no_better_or_rows_are_few(count):
    rng = np.random.default_rng(0)
    columns = {name: rng.choice(list("uvwx"), count).tolist() for name in "ab"}
    table = ar.Table.fit(columns, quiet=True, max_epochs=2, lr=3.0, network={"hidden": (8,)})
    assert (
        "19 rows are too few" if count < 20 else "independent columns are kept"
    ) in table.summary
    for value in "uvwx":
        given_one = table.distribution("a", {"b": value}).probabilities
        assert given_one == pytest.approx(table.distribution("a").probabilities, abs=1e-6)
    found = {"a": ["u", "v"], "b": ["w", None]}
    alone = [{name: found[name]} for name in "ab"]
    assert table.log_prob(found) == pytest.approx(sum(map(table.log_prob, alone)), abs=1e-6)


def test_from_a_file_to_answers(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(rows(80))
    frame.insert(0, "id", np.arange(1000, 1080))
    frame.to_csv("people.csv", index=False)
    assert run("train", "table", "--data", "people.csv", "--run", "r", "--max-epochs", 2) == 0
    said = capsys.readouterr().out
    assert "id" in said
    assert "left out" in said
    assert "independent columns" in said
    assert run("score", "r", "people.csv", "--out", "s.csv") == 0
    scores = pd.read_csv("s.csv")
    assert np.isfinite(scores["log_prob"]).all()
    assert scores["p_value_1"].between(0, 1).all()
    assert run("impute", "r", "people.csv", "--out", "full.csv", "--marks", "m.csv") == 0
    full, marks = pd.read_csv("full.csv"), pd.read_csv("m.csv")
    assert not full.isna().any().any()
    assert marks.sum().sum() == frame.isna().sum().sum()
    assert list(full.columns) == list(frame.columns)
    capsys.readouterr()
    assert run("query", "r", "age >= 40", "--given", "smoker=yes") == 0
    assert "exact" in capsys.readouterr().out
    assert run("query", "r", "cost") == 0
    assert run("sample", "r", "--count", 5, "--out", "x.csv", "--given", "smoker=no") == 0
    assert set(pd.read_csv("x.csv")["smoker"]) == {"no"}
    assert run("info", "r") == 0
    capsys.readouterr()
    assert run("evaluate", "r", "--data", "people.csv") == 0
    mean = -float(np.mean(scores["log_prob"]))
    assert float(capsys.readouterr().out.split()[0]) == pytest.approx(mean, abs=1e-3)
    assert run("compress", "r", "people.csv", "--out", "x") == 0
    assert run("decompress", "r", "x", "--out", "back.csv") == 0
    assert Path("back.csv").read_bytes() == Path("people.csv").read_bytes()
    assert run("complete", "r", "people.csv", "--out", "x.csv") == 2
    assert "score, impute, query" in capsys.readouterr().err


def test_of_parquet_comes_parquet(tmp_path, capsys, monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("autoregress.cli.tables.PART", 30)  # rows are filled in in several parts
    frame = pd.DataFrame(rows(80)).astype({"age": "float32", "region": "category"})
    frame.to_parquet("people.parquet")
    frame.to_csv("people.csv", index=False)
    assert run("train", "table", "--data", "people.csv", "--run", "r", "--max-epochs", 1) == 0
    assert run("impute", "r", "people.parquet", "--out", "full.parquet") == 0
    full = pq.read_table("full.parquet")
    assert full.schema.types == pq.read_table("people.parquet").schema.types
    assert sum(column.null_count for column in full.columns) == 0
    assert run("sample", "r", "--count", 9, "--out", "drawn.parquet") == 0
    kinds = {name: own.dtype.kind for name, own in pd.read_parquet("drawn.parquet").items()}
    assert (kinds["age"], kinds["cost"]) == ("i", "f")
    capsys.readouterr()
    assert run("impute", "r", "people.csv", "--out", "full.parquet") == 2
    assert "written as .csv or .csv.gz" in capsys.readouterr().err


def test_a_folder_without_a_table(tmp_path, capsys):
    assert run("query", tmp_path, "age > 3") == 2
    assert "is not the run of a table" in capsys.readouterr().err


def test_the_same_command_resumes(tmp_path):
    torch.manual_seed(0)
    brief: Any = {"quiet": True, "network": {"hidden": (8,)}, "schedule": "constant"}
    whole = ar.Table.fit(rows(60), max_epochs=4, **brief)
    ar.Table.fit(rows(60), max_epochs=2, run=Path(tmp_path), **brief)
    resumed = ar.Table.fit(rows(60), max_epochs=4, run=Path(tmp_path), **brief)
    some = rows(9, seed=2)
    assert np.array_equal(whole.log_prob(some), resumed.log_prob(some))


# Many labels


def test_rare_labels_share_symbols_with_those_of_like_company():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 4, 3000)
    chosen = rng.integers(0, 3000, 12_000)
    columns = {
        "user": [f"u{n}" for n in chosen],
        "kind": [str(each) for each in kind[chosen]],
        "spent": (3 * kind[chosen] + rng.normal(size=12_000)).round(2).tolist(),
    }
    schema = Schema.infer(list(as_cells(columns).values()))
    column = schema.column("user")
    assert isinstance(column, Labels)
    assert column.levels <= 257
    assert masses(column, [*column.labels, *(text for text, _ in column.rare), "never seen"]) == (
        pytest.approx(np.ones(column.levels))
    )
    groups, counts = np.array(column.groups), np.array([count for _, count in column.rare])
    own = np.array([kind[int(text[1:])] for text, _ in column.rare])
    pure = [np.bincount(own[groups == g], counts[groups == g]).max() for g in np.unique(groups)]
    assert sum(pure) / counts.sum() > 0.9  # a quarter of each kind at random
    drawn = column.decode(np.full(50, column.levels - 1), rng)
    assert set(column.encode(Cells.of("user", drawn)).symbols) == {column.levels - 1}
    content = json.loads(json.dumps(column.to_json()))
    assert column_from_json(content).to_json() == column.to_json()

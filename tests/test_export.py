"""The self-contained page: its JavaScript agrees with the library, and works without network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from conftest import run
from torch import Tensor

import autoregress as ar
from autoregress.page.export import self_contained
from autoregress.tables.learning import network_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


@pytest.fixture
def opened(browser, tmp_path) -> Iterator[Any]:
    """Opens a model's page from the disk; no error, and no request beyond it, is forgiven."""
    context, wrong = browser.new_context(), []
    context.on("request", lambda r: r.url.startswith("file:") or wrong.append(r.url))
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda message: message.type == "error" and wrong.append(message.text))

    def open_page(model: Any, address: str = "") -> Page:
        path = tmp_path / "page.html"
        path.write_text(self_contained(model, "a <title> & more"))
        page = context.new_page()
        page.goto(f"{path.as_uri()}{address}")
        return page

    yield open_page
    assert wrong == []
    context.close()


def scattered(model: ar.MADE) -> ar.MADE:
    """The model with weights far from those of a new one, so that every connection matters."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    if model.encoding.log_masses is not None:
        model.encoding.start(model.sample(50).flatten(1))
    return model


MODELS = [
    ((1, 4, 5), 3, {"orderings": "any", "residual": True, "norm": True, "conditioning": True}),
    ((1, 4, 4), 17, {"orderings": 3, "connectivities": 2, "ordered": True, "direct": True}),
    (
        6,
        (2, 5, 40, 3, 7, 2),
        {
            "evidence": True,
            "ordered": True,
            "activation": "gelu",
            "periods": ((), (4.0,), (7.0, 24.5), (), (), ()),
        },
    ),
    (5, (2, 9, 4, 3, 2), {"orderings": "any", "gaps": True, "activation": "softplus"}),
    (4, 2, {"orderings": 4, "activation": "elu", "norm": True, "direct": True}),
]


@pytest.fixture(scope="module")
def table() -> ar.Table:
    """A table of labels, numbers, dates and gaps."""
    rng = np.random.default_rng(0)
    rows = {
        "size": rng.choice(["S", "M", "L"], 60).tolist(),
        "price": [None if rng.random() < 0.2 else round(5 * p, 2) for p in rng.gamma(3, size=60)],
        "sold": [f"2024-0{rng.integers(1, 9)}-1{rng.integers(9)}" for _ in range(60)],
        "back": rng.choice([True, False], 60).tolist(),
    }
    schema = ar.Table.fit(rows, max_epochs=1, quiet=True).schema
    levels = [column.levels for column in schema.columns]
    options = network_for(60, levels, [column.ordered for column in schema.columns], None)
    model = ar.MADE(len(levels), levels, **{**options, "hidden": (12, 10, 12)})
    return ar.Table(schema, scattered(model))


def evidence(model: ar.MADE, count: int) -> tuple[Tensor, Tensor]:
    """Random symbols (count, D), and which of them are known."""
    uniform = torch.rand(count, model.dims)
    known = torch.rand(count, model.dims) < torch.rand(count, 1)
    return (uniform * torch.tensor(model.symbols.levels)).long(), known


@torch.no_grad()
def test_a_thousand_conditionals_are_the_library_s(opened):
    compared = 0
    for shape, symbols, options in MODELS:
        model = scattered(ar.MADE(shape, symbols, hidden=(12, 9, 10), **options)).double().eval()
        page, (x, known) = opened(model), evidence(model, 40)
        rows, mask = (each.view(-1, *model.event_shape) for each in (x, known))
        ours = model.marginals(rows, mask).table().flatten(1, -2)
        given = x.where(known, -1).tolist()
        theirs = page.evaluate("rows => rows.map((x) => made.marginals(x))", given)
        for row, dim in (~known).nonzero().tolist():
            own = ours[row, dim, : model.symbols.levels[dim]].tolist()
            assert theirs[row][dim] == pytest.approx(own, abs=1e-9), (options, dim)
            compared += 1
        log_probs = page.evaluate("rows => rows.map((x) => made.logProb(x))", x.tolist())
        assert log_probs == pytest.approx(model.log_prob(rows).tolist(), rel=1e-9)
    assert compared >= 1000


@torch.no_grad()
def test_columns_of_a_table_have_the_library_s_distributions(opened, table):
    page, (x, known) = opened(table), evidence(table.model, 20)
    x = x.where(known, -1)
    for dim in range(x.shape[1]):
        others = x.index_fill(1, torch.tensor([dim]), -1)
        ours = table._conditional(others, dim)
        ask = "([dim, rows]) => rows.map((x) => made.conditional(dim, x))"
        assert np.abs(np.array(page.evaluate(ask, [dim, x.tolist()])) - ours).max() < 1e-5
    log_probs = page.evaluate("rows => rows.map((x) => made.logProb(x))", x.tolist())
    assert log_probs == pytest.approx(table.model.log_prob(x).tolist(), abs=1e-4)


@torch.no_grad()
def test_the_bundled_digits_are_drawn_from_their_marginals(opened):
    model, page = ar.load("digits"), opened(ar.load("digits"))
    known = torch.zeros(1, 8, 8, dtype=torch.bool)
    known[:, :4] = True
    x = ar.data.digits_splits()[2].x[:1].long()
    ours = model.marginals(x, known).table().flatten(0, 3)
    given = x.where(known, -1).flatten().tolist()
    theirs = page.evaluate("x => made.marginals(x)", given)
    assert theirs[:32] == [None] * 32
    assert np.abs(np.array(theirs[32:]) - ours[32:].numpy()).max() < 1e-5
    # The first pixels drawn have those distributions: a test of 100 draws of the mean level.
    drawn = page.evaluate(
        """x => Array.from({length: 100}, () => {
            const full = x.slice();
            for (const [dim, symbol] of made.complete(x)) full[dim] = symbol;
            return full;
        })""",
        given,
    )
    levels = torch.arange(17.0, dtype=torch.float64)
    mean = (ours * levels).sum(1)
    variance = (ours * levels.square()).sum(1) - mean.square()
    apart = (torch.tensor(drawn).double().mean(0) - mean) / (variance / 100).sqrt()
    assert torch.tensor(drawn)[:, :32].eq(x.flatten()[:32]).all()
    assert apart[32:].abs().mean() < 2


def test_painting_and_the_keyboard_set_evidence_that_a_link_keeps(opened):
    model = scattered(ar.MADE((1, 4, 4), 3, hidden=(8,), orderings="any"))
    page = opened(model, "#0.2")
    state = "new Map(fromAddress().map((symbol, dim) => [dim, symbol]).filter(([, s]) => s >= 0))"
    known = f"Object.fromEntries({state})"
    assert page.evaluate(known) == {"0": 2}
    box = page.locator(".paint").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.9)
    assert page.evaluate(known) == {"0": 2, "13": 2}
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Delete")
    assert page.evaluate(known) == {"0": 2, "14": 2}
    page.reload()
    assert page.evaluate(known) == {"0": 2, "14": 2}
    page.get_by_role("button", name="Clear").click()
    assert page.evaluate(known) == {}


def test_a_cell_is_set_by_its_label_and_moves_the_others(opened, table):
    page = opened(table)
    before = page.locator("section", has_text="price").first.inner_text()
    page.get_by_role("button", name="S", exact=False).first.click()
    page.get_by_role("button", name="Draw a row").click()
    assert page.url.partition("#")[2].startswith("0.")
    after = page.locator("section", has_text="price").first.inner_text()
    assert before != after


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(opened, table, scheme):
    for model in (ar.load("digits"), table):
        page = opened(model)
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": 360, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (ar.PixelCNN((1, 4, 4), 2, layers=1, features=4), "a PixelCNN"),
        (ar.MADE(4, hidden=(4,)), "a MADE of one ordering"),
        (ar.MADE(4, hidden=(4,), orderings="any", context=2), "a MADE with a context"),
        (ar.MADE(201, hidden=(4,), orderings="any"), "too large"),
    ],
)
def test_what_a_page_cannot_compute_is_refused(model, why):
    with pytest.raises(ValueError, match=why):
        self_contained(model, "title")


def test_the_verb_writes_a_page_of_a_name(tmp_path, capsys):
    assert run("page", "penguins", "--out", tmp_path / "page.html") == 0
    assert "<title>penguins</title>" in (tmp_path / "page.html").read_text()
    assert run("page", "penguins", "--out", tmp_path / "nowhere" / "page.html") == 2
    assert "there is no folder" in capsys.readouterr().err

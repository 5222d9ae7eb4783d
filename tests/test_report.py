"""Reports are whole pages that need nothing beside them; figures show what they are given."""

import base64
import html
import io
import re
from typing import Any

import numpy as np
import pytest
import torch
from conftest import run
from PIL import Image

import autoregress as ar
from autoregress import plot
from autoregress.report import film, report

pytestmark = pytest.mark.slow

CLIPS = {
    "subscale": (2, 1, 1),
    "width": 8,
    "embedding": 4,
    "heads": (1,),
    "head_width": 4,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "blocks": ((1, 2, 2),),
    "mixture": 4,
}


def headings(page: str) -> list[str]:
    """The headings of a page, whose pictures are inside it and not damaged."""
    assert not re.search(r"https?:|file:|<script|<link|@import|url\(", page)
    for kind, content in re.findall(r'src="data:image/(\w+);base64,([^"]*)"', page):
        with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as image:
            assert image.format == kind.upper()
            image.load()
    assert len(re.findall(r"<img", page)) == len(re.findall(r'src="data:image', page))
    return re.findall(r"<h2>(.*?)</h2>", page)


def test_a_run_of_images(tmp_path):
    x = torch.randint(3, (40, 1, 4, 4))
    model = ar.MADE((1, 4, 4), 3, hidden=(8,), orderings="any")
    result = ar.fit(model, x[:30], valid=x[30:], run=tmp_path / "run", max_epochs=2, quiet=True)
    np.save(tmp_path / "x.npy", x[30:].numpy())
    out = tmp_path / "report.html"
    assert run("report", tmp_path / "run", "--data", tmp_path / "x.npy", "--out", out) == 0
    page = out.read_text()
    assert headings(page) == ["Training", "Score", "Samples", "Completions", "Surprise", "Settings"]
    score = ar.evaluate(ar.load(tmp_path / "run"), x[30:])
    assert f"{score.nats:.4f} ± {score.standard_error:.4f}" in page
    assert result.valid is not None
    assert f"{result.valid.nats:.4f}" in page
    sums = ar.load(tmp_path / "run").surprisal(x[30:35]).flatten(1).sum(1)
    assert len(sums) == 5
    half = torch.arange(16).view(1, 4, 4) < 8
    given = -ar.load(tmp_path / "run").conditional_log_prob(x[30:35], half).mean()
    assert f"{given:.2f} nats" in page


@pytest.mark.parametrize("name", ["PixelCNN", "VideoTransformer", "labels"])
def test_models_of_other_families_are_reported(tmp_path, name):
    model = {
        "PixelCNN": lambda: ar.PixelCNN((1, 4, 4), 2, layers=1, features=4),
        "labels": lambda: ar.MADE((1, 3, 3), hidden=(6,), labels=("a", "b"), orderings="any"),
        "VideoTransformer": lambda: ar.VideoTransformer((2, 1, 2, 4), 3, **CLIPS),
    }[name]()
    ar.save(model, tmp_path / "saved")
    found = headings(report(tmp_path / "saved"))
    clips = ["Continuations", "Surprise", "Settings"]
    assert found == (
        clips if name == "VideoTransformer" else ["Samples", "Completions", *clips[1:]]
    )


def test_a_model_says_why_it_does_not_complete(tmp_path):
    ar.save(ar.MADE((1, 4, 4), hidden=(8,), orderings=[[*range(15, -1, -1)]]), tmp_path)
    page = report(tmp_path)
    assert "conditions exactly only on the first of them" in html.unescape(page)


def test_a_run_of_a_table_with_its_oddest_rows(tmp_path):
    rows = {"size": ["S", "L<b>"] * 20, "price": [*range(20)] * 2}
    ar.Table.fit(rows, max_epochs=2, quiet=True, run=tmp_path, network={"hidden": (8,)})
    page = report(tmp_path, rows)
    wanted = ["Training", "Score", "Marginals", "Oddest rows", "Rows drawn", "Columns", "Settings"]
    assert headings(page) == wanted
    assert "L&lt;b&gt;" in page
    assert "<b>" not in page
    nats = -ar.Table.load(tmp_path).log_prob(rows)
    assert f"<td>{nats.max():.2f}</td>" in page


def test_what_cannot_be_reported_is_refused(tmp_path, capsys):
    assert run("report", "nowhere", "--out", tmp_path / "x.html") == 2
    assert run("report", "digits", "--data", tmp_path / "y.npy", "--out", tmp_path / "x.html") == 2
    assert not list(tmp_path.iterdir())


def test_a_film_has_the_true_clips_above_and_the_drawn_ones_below():
    true, drawn = torch.zeros(1, 3, 1, 4, 4).long(), torch.ones(1, 3, 1, 4, 4).long()
    with Image.open(io.BytesIO(film(true, drawn, 1, 2))) as image:
        assert getattr(image, "n_frames", 1) == 2  # the last two are alike
        first = np.asarray(image.convert("RGB"))
        image.seek(1)
        last = np.asarray(image.convert("RGB"))
    half, middle = first.shape[0] // 4, first.shape[1] // 2
    assert first[half, middle].min() > 250  # paper
    assert first[3 * half, middle].max() < 50  # ink, as the first frame is known
    assert last[3 * half, middle][2] > last[3 * half, middle][0] + 100  # blue


# Figures


def axes_of(figure: Any) -> list[Any]:
    return figure.axes


def test_surprise_is_summed_over_channels_and_marked():
    x = torch.zeros(2, 3, 4, 4).long()
    nats, marked = torch.rand(2, 3, 4, 4), torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    marked[1, :, 2, 3] = True
    figure = plot.surprise(x, nats, 2, marked=marked, titles=["a", "b"])
    tiles, bar = axes_of(figure)
    assert len(tiles.patches) == 2  # in the image, and in the map below it
    assert [tick.get_text() for tick in tiles.get_xticklabels()] == ["a", "b"]
    assert bar.get_ylim()[1] <= float(nats.sum(1).max())


def test_completions_keep_what_is_known():
    x, known = torch.randint(2, (2, 1, 3, 3)), torch.zeros(1, 3, 3, dtype=torch.bool)
    known[:, 0] = True
    draws = (1 - x).unsqueeze(1).expand(-1, 4, -1, -1, -1).where(~known, x.unsqueeze(1))
    (axes,) = axes_of(plot.completions(x, known, draws, 2))
    canvas = np.asarray(axes.get_images()[0].get_array())
    assert canvas.shape == (2 * 4 + 1, 6 * 4 + 1, 3)
    true, drawn = canvas[1:4, 1:4], canvas[1:4, 9:12]
    assert np.array_equal(true[0], drawn[0])
    inked = x[0, 0, 1:].numpy() == 0  # drawn as 1
    assert np.allclose(drawn[1:][inked], plot.BLUE)


def test_marginals_have_the_shares_of_the_data_and_of_the_model():
    rows = {"size": ["S", "M", "L", "L"] * 10}
    table = ar.Table.fit(rows, max_epochs=1, quiet=True, network={"hidden": (4,)})
    (axes,) = axes_of(plot.marginals(table, rows))
    heights = [bar.get_height() for bar in axes.patches]
    model = table.distribution("size").probabilities
    assert heights == pytest.approx([0.5, 0.25, 0.25, 0, *model])


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match=r"images are \(N, C, H, W\)"):
        plot.samples(torch.zeros(2, 5), 2)

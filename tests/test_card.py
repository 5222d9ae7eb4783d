"""The card of a run says what it was trained on, how, and how good it is."""

import json

import torch

import autoregress as ar


def test_a_run_has_a_card_with_its_data_settings_and_best_score(tmp_path):
    x = torch.randint(2, (60, 4))
    model = ar.MADE(4, hidden=(6,), direct=True)
    options = {"run": tmp_path / "run", "batch_size": 20, "quiet": True}
    ar.fit(model, x[:40], valid=x[40:], max_epochs=1, **options)
    first = (tmp_path / "run" / "README.md").read_text()
    result = ar.fit(model, x[:40], valid=x[40:], max_epochs=3, **options)
    card = (tmp_path / "run" / "README.md").read_text()
    assert f"- validation examples, after epoch {result.best_epoch}: {result.valid}" in card
    assert "| max_epochs | `1` |" in first
    assert "| max_epochs | `3` |" in card
    for name, own in json.loads((tmp_path / "run" / "config.json").read_text())["data"].items():
        assert f"- {name}: {own['examples']} examples, sha256 {own['sha256']}" in card
    assert f'ar.load("{tmp_path / "run"}")' in card
    assert "arXiv 1502.03509" in card
    (tmp_path / "run" / "README.md").unlink()
    assert torch.equal(ar.load(tmp_path / "run").log_prob(x), model.log_prob(x))


def test_the_card_of_a_table_has_its_columns(tmp_path):
    rows = {"size": ["S", "L"] * 15, "price": [*range(15), *range(15)]}
    table = ar.Table.fit(rows, max_epochs=1, quiet=True, run=tmp_path, network={"hidden": (6,)})
    card = (tmp_path / "README.md").read_text()
    assert str(table.schema) in card
    assert table.summary.splitlines()[0] in card
    assert "- train: 27 examples, sha256 " in card
    assert f'ar.Table.load("{tmp_path}")' in card


def test_every_family_s_paper_is_on_its_card():
    from autoregress.card import PAPERS
    from autoregress.families import FAMILIES

    ours = {
        kind for kind, family in FAMILIES.items() if family.__module__.startswith("autoregress")
    }
    assert ours - {"Mixture"} == set(PAPERS)

"""scikit-learn estimators: its own checks, and agreement with the table beneath."""

import doctest
import importlib
import pickle
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import autoregress.sklearn
from autoregress.sklearn import (
    TableClassifier,
    TableDensity,
    TableImputer,
    TableOutliers,
    TableRegressor,
)


def brief(epochs: int = 3) -> dict[str, Any]:
    """Options under which little is learnt, quickly."""
    training = {"max_epochs": epochs, "batch_size": 32, "lr": 3e-2}
    return {"network": {"hidden": (16,)}, "training": training, "random_state": 0}


def people(rows: int = 200) -> Any:
    """Columns that depend on one another, with gaps in the last two."""
    rng = np.random.default_rng(0)
    smoker = rng.random(rows) < 0.5
    age = (rng.normal(35 + 20 * smoker, 5, rows)).round().astype(int)
    frame = pd.DataFrame(
        {
            "age": age,
            "cost": (10.0 * age + rng.normal(0, 9, rows)).round(1),
            "smoker": np.where(smoker, "yes", "no").astype(object),
        }
    )
    frame.loc[::7, "cost"] = np.nan
    frame.loc[3::11, "smoker"] = np.nan
    return frame


# No check is exempted: there is nothing for `expected_failed_checks` to list.
@pytest.mark.slow
@parametrize_with_checks(
    [
        TableClassifier(**brief()),
        TableDensity(**brief()),
        TableImputer(**brief()),
        TableOutliers(**brief()),
        TableRegressor(**brief(10)),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", autoregress.sklearn.__all__)
def test_the_example_of_an_estimator_prints_what_it_shows(name):
    found = doctest.DocTestFinder(recurse=False).find(
        getattr(autoregress.sklearn, name), name, globs={"np": np}
    )
    assert found[0].examples
    assert doctest.DocTestRunner().run(found[0]).failed == 0


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "autoregress.sklearn")
    with pytest.raises(ImportError, match=r"pip install 'autoregress\[sklearn\]'"):
        importlib.import_module("autoregress.sklearn")


def test_an_array_and_a_frame_are_the_same_table():
    frame = people()[["age", "cost"]].rename(columns={"age": "x0", "cost": "x1"})
    of_frame = TableDensity(**brief()).fit(frame)
    of_array = TableDensity(**brief()).fit(frame.to_numpy())
    of_arrow = TableDensity(**brief()).fit(pa.table(frame))
    unnamed = TableDensity(**brief()).fit(frame.set_axis([0, 1], axis=1))
    scores = of_frame.score_samples(frame)
    assert np.array_equal(of_array.score_samples(frame.to_numpy()), scores)
    assert np.array_equal(of_arrow.score_samples(pa.table(frame)), scores)
    assert np.array_equal(unnamed.score_samples(frame.set_axis([0, 1], axis=1)), scores)
    drawn = of_frame.sample(5, random_state=1)
    assert isinstance(drawn, pd.DataFrame)
    np.testing.assert_array_equal(of_array.sample(5, random_state=1), drawn.to_numpy())
    assert isinstance(of_arrow.sample(5), pa.Table)


def test_a_density_of_numbers_integrates_to_one():
    frame = people()
    model = TableDensity(**brief()).fit(frame)
    grid = np.arange(-2000, 12000) / 10
    alone = pd.DataFrame({"age": None, "cost": grid, "smoker": None}, columns=frame.columns)
    assert np.exp(model.score_samples(alone)).sum() * 0.1 == pytest.approx(1, abs=1e-2)
    assert model.score(frame) == pytest.approx(model.score_samples(frame).mean())


def test_copies_and_pickles_learn_and_say_the_same():
    frame = people()
    model = TableDensity(**brief()).fit(frame)
    again: Any = clone(model)
    again.fit(frame)
    kept = pickle.loads(pickle.dumps(model))
    for other in (again, kept):
        assert np.array_equal(other.score_samples(frame), model.score_samples(frame))
    assert np.array_equal(kept.sample(3, 0).to_numpy(), model.sample(3, 0).to_numpy())


@pytest.mark.parametrize("how", ["mean", "mode", "draw"])
def test_an_imputer_fills_gaps_and_nothing_else(how):
    frame = people()
    frame.index += 1000
    frame.loc[1004, "smoker"] = "?"
    imputer = TableImputer(how=how, **brief()).fit(frame)
    known = frame.notna() & (frame != "?")
    full = imputer.transform(frame)
    assert full.index.equals(frame.index)
    assert full.notna().all(axis=None)
    assert ((full == frame) == known).where(known, True).all(axis=None)
    assert set(full["smoker"]) == {"yes", "no"}
    array = imputer.set_output(transform="pandas").fit_transform(frame.to_numpy())
    names: Any = imputer.get_feature_names_out()
    assert list(array.columns) == names.tolist() == ["x0", "x1", "x2"]
    np.testing.assert_array_equal(array.to_numpy(), full.to_numpy())


def test_draws_differ_in_the_gaps():
    frame = people()
    imputer = TableImputer(**brief()).fit(frame)
    first, second = imputer.draws(frame, 2)
    gaps = frame["cost"].isna()
    assert (first["cost"] == second["cost"])[~gaps].all()
    assert (first["cost"] != second["cost"])[gaps].any()
    assert imputer.draws(frame, 1)[0].equals(first)


def test_outliers_are_the_share_asked_for_and_cells_are_blamed():
    frame = people()
    model = TableOutliers(contamination=0.2, **brief(20)).fit(frame)
    assert (model.predict(frame) == -1).mean() == pytest.approx(0.2, abs=0.01)
    wrong = pd.DataFrame({"age": [35], "cost": [9000.0], "smoker": ["no"]})
    assert model.predict(wrong) == -1
    assert model.explain(wrong).blamed() == ["cost"]
    with pytest.raises(ValueError, match="contamination must be above 0"):
        TableOutliers(contamination=0.7).fit(frame)


def test_a_classifier_is_the_tables_conditional():
    frame = people().dropna(subset="smoker")
    X, y = frame[["age", "cost"]], frame["smoker"]
    model = TableClassifier(**brief()).fit(X, y)
    found = model.predict_proba(X[:9])
    for (_, row), p in zip(X[:9].iterrows(), found, strict=True):
        given = {name: value for name, value in row.items() if value == value}
        truth = model.table_.distribution("y", given).probabilities[:2]
        np.testing.assert_allclose(p, truth / truth.sum(), rtol=1e-9)
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.score(X, y) > 0.8


def test_a_column_of_the_targets_name_is_another():
    X = people()[["age", "cost"]].set_axis(["y", "y_"], axis=1)
    model = TableRegressor(**brief()).fit(X, X["y"] * 2.0)
    assert model.table_.schema.names == ("y", "y_", "y__")
    assert np.isfinite(model.predict(X)).all()


def test_more_labels_than_a_column_has_symbols():
    y = np.repeat(np.arange(300), 2) * 3
    model = TableClassifier(**brief(1)).fit(np.stack([y % 2, y % 5], 1), y)
    p = model.predict_proba([[0, 1], [1, 4]])
    assert p.shape == (2, 300)
    assert (p > 0).all()
    np.testing.assert_allclose(p.sum(1), 1)


def test_a_regressor_is_the_tables_conditional():
    frame = people().dropna(subset="cost")
    X, y = frame[["age", "smoker"]], frame["cost"]
    model = TableRegressor(**brief(20)).fit(X, y)
    shares = [0.05, 0.5, 0.95]
    found = model.predict_quantiles(X, shares)
    assert (np.diff(found, axis=1) >= 0).all()
    for (_, row), mean, quantiles in list(zip(X.iterrows(), model.predict(X), found, strict=True))[
        :9
    ]:
        given = {name: value for name, value in row.items() if value == value}
        truth = model.table_.distribution("y", given)
        assert truth.mean() == pytest.approx(mean)
        assert [float(truth.quantile(share)) for share in shares] == pytest.approx(quantiles)
    within = (found[:, 0] <= y) & (y <= found[:, 2])
    assert 0.8 < within.mean() <= 1
    assert model.score(X, y) > 0.5

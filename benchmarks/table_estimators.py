"""Classifier and regressor of a table beside scikit-learn's, all at their defaults.

    python benchmarks/table_estimators.py

prints, for 5 folds of breast cancer (569 rows, 30 numbers, 2 labels), the accuracy and log-loss,
and of diabetes (442 rows, 10 numbers), the root-mean-square error and the share of targets within
the predicted 90 % intervals: means and standard errors over the folds, and CPU seconds of fitting
and predicting a fold. Folds are shuffled with seed 0; nothing is chosen by what they measure.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from autoregress.sklearn import TableClassifier, TableRegressor

FOLDS = 5
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "TableClassifier": lambda: TableClassifier(random_state=0),
    "LogisticRegression, scaled": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "HistGradientBoosting": lambda: HistGradientBoostingClassifier(random_state=0),
    "shares of the labels": DummyClassifier,
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "TableRegressor": lambda: TableRegressor(random_state=0),
    "LinearRegression": LinearRegression,
    "HistGradientBoosting": lambda: HistGradientBoostingRegressor(random_state=0),
    "mean": DummyRegressor,
}


def classified(model: Any, x: Any, y: Any) -> dict[str, float]:
    p = model.predict_proba(x)
    return {
        "accuracy": float((model.classes_[p.argmax(1)] == y).mean()),
        "log-loss": float(log_loss(y, p, labels=model.classes_)),
    }


def regressed(model: Any, x: Any, y: Any) -> dict[str, float]:
    found = {"RMSE": float(root_mean_squared_error(y, model.predict(x)))}
    if isinstance(model, TableRegressor):
        low, high = model.predict_quantiles(x, [0.05, 0.95]).T
        found["within 90%"] = float(((low <= y) & (y <= high)).mean())
    return found


def table(
    title: str,
    models: dict[str, Callable[[], Any]],
    data: Any,
    folds: Any,
    measure: Callable[[Any, Any, Any], dict[str, float]],
) -> None:
    print(title)
    for name, make in models.items():
        scores: list[dict[str, float]] = []
        for train, test in folds.split(data.data, data.target):
            start = time.process_time()
            model = make().fit(data.data[train], data.target[train])
            found = measure(model, data.data[test], data.target[test])
            scores.append({**found, "CPU s": time.process_time() - start})
        columns = {key: [score[key] for score in scores] for key in scores[0]}
        texts = [
            f"{key} {np.mean(each):.4g} ± {np.std(each, ddof=1) / FOLDS**0.5:.2g}"
            for key, each in columns.items()
        ]
        print(f"  {name:28}{'  '.join(texts)}", flush=True)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    shuffled: dict[str, Any] = {"n_splits": FOLDS, "shuffle": True, "random_state": 0}
    folds = StratifiedKFold(**shuffled)
    table("breast cancer", CLASSIFIERS, load_breast_cancer(), folds, classified)
    table("diabetes", REGRESSORS, load_diabetes(), KFold(**shuffled), regressed)


if __name__ == "__main__":
    main()

"""scikit-learn estimators: one model of a table (:class:`autoregress.Table`), asked five ways.

They take arrays, whose columns are named x0, x1, …, and DataFrames of pandas and polars. Cells may
be numbers, dates, labels or missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from autoregress.tables import Column, Explanation, Numbers, Table
from autoregress.tables.cells import Cells
from autoregress.tables.columns import Kind
from autoregress.tables.frames import as_cells
from autoregress.tables.table import How

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        DensityMixin,
        OneToOneFeatureMixin,
        OutlierMixin,
        RegressorMixin,
        TransformerMixin,
    )
    from sklearn.utils import assert_all_finite, check_consistent_length, check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise ImportError(
        "autoregress.sklearn needs scikit-learn: pip install 'autoregress[sklearn]'"
    ) from error

__all__ = ["TableClassifier", "TableDensity", "TableImputer", "TableOutliers", "TableRegressor"]

Floats = NDArray[np.float64]
SEEDS = 2**31 - 1


class _Estimator(BaseEstimator):
    """An estimator with a table; :class:`TableDensity` describes its options."""

    def __init__(
        self,
        *,
        kinds: Mapping[str, Kind] | None = None,
        network: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.kinds, self.network, self.training = kinds, network, training
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Not `categorical`, for which scikit-learn's checks round all numbers.
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags

    def _learn(self, cells: Mapping[str, Cells], kinds: Mapping[str, Kind] | None = None) -> None:
        self.table_ = Table.fit(
            cells,
            kinds={**(self.kinds or {}), **(kinds or {})},
            network=self.network,
            quiet=True,
            **{"seed": _seed(self.random_state), **(self.training or {})},
        )
        # In float64, what is said of a row does not depend on the rows beside it.
        self.table_.model.double()

    def _cells(self, X: Any) -> dict[str, Cells]:
        """The columns of new rows."""
        check_is_fitted(self)
        return as_cells(_checked(self, X, reset=False))

    def _log_density(self, cells: Mapping[str, Cells]) -> Floats:
        return self.table_.log_prob(cells) - self.table_.log_unit(cells)


class _Supervised(_Estimator):
    """An estimator whose target is one more column of the table."""

    def _learn_with(self, X: Any, y: NDArray[Any], kind: Kind) -> None:
        cells = as_cells(X)
        self._target = "y"
        while self._target in cells:
            self._target += "_"
        self._learn(cells | as_cells({self._target: y}), {self._target: kind})

    def _target_given(self, X: Any) -> tuple[Column, Floats]:
        """The target's column, and the distribution (rows, K) of its symbol given new rows."""
        cells = self._cells(X)
        p = self.table_.conditionals(self._target, cells)
        return self.table_.schema.column(self._target), p


class TableDensity(DensityMixin, _Estimator):
    """The density of rows.

    Args:
        kinds: kinds of some columns, by name, instead of the inferred ones, see
            :meth:`autoregress.Table.fit`.
        network: options of the network.
        training: training options, such as ``{"max_epochs": 20}``, see
            :class:`autoregress.Training`.
        random_state: seed of what is drawn, in training and after.

    Attributes:
        table_: the learnt table.

    Example:
        >>> from autoregress.sklearn import TableDensity
        >>> X = np.random.default_rng(0).normal(size=(200, 2)).round(1)
        >>> density = TableDensity(training={"max_epochs": 5}, random_state=0).fit(X)
        >>> density.score_samples([[0, 0.5], [0, np.nan], [9, 9]]).shape
        (3,)
        >>> density.sample(3).shape
        (3, 2)
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learns the table X (rows, columns); y is ignored."""
        X = _checked(self, X, reset=True)
        self._learn(as_cells(X))
        self._like = X[:0]
        return self

    def score_samples(self, X: Any) -> Floats:
        """log p of the known cells of every row, (rows,) nats.

        That of numbers is a density, in the columns' own units, and that of labels a probability.
        """
        return self._log_density(self._cells(X))

    def score(self, X: Any, y: Any = None) -> float:  # type: ignore[override]  # the mixin's returns nothing
        """The mean of :meth:`score_samples`; y is ignored."""
        return float(self.score_samples(X).mean())

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> Any:
        """Draws rows, as a table of the kind that :meth:`fit` was given."""
        check_is_fitted(self)
        return self.table_.sample(n_samples, seed=_seed(random_state), like=self._like)


class TableImputer(OneToOneFeatureMixin, TransformerMixin, _Estimator):
    """Fills missing cells given the known ones of their rows.

    Args:
        how: "mean", for numbers their mean, for labels the likeliest; "mode", the likeliest cell;
            or "draw", drawn together from the model.
        kinds, network, training, random_state: as for :class:`TableDensity`.

    Columns of the kinds that a table leaves out stay as they are.

    Example:
        >>> from autoregress.sklearn import TableImputer
        >>> X = np.repeat([[1.0, 5.0], [2.0, 7.0]], 50, axis=0)
        >>> imputer = TableImputer(training={"max_epochs": 5}, random_state=0, how="mode").fit(X)
        >>> imputer.transform([[1, np.nan], [np.nan, 7]])
        array([[1., 5.],
               [2., 7.]])
        >>> len(imputer.draws([[1, np.nan]], 3))
        3
    """

    def __init__(
        self,
        *,
        how: How = "mean",
        kinds: Mapping[str, Kind] | None = None,
        network: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(kinds=kinds, network=network, training=training, random_state=random_state)
        self.how: How = how

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learns the table X (rows, columns), from all of its known cells; y is ignored."""
        self._learn(as_cells(_checked(self, X, reset=True)))
        self._draw_seed = _seed(self.random_state)
        return self

    def transform(self, X: Any) -> Any:
        """The table with its missing cells filled in, of the same kind; draws repeat."""
        check_is_fitted(self)
        X = _checked(self, X, reset=False)
        return self.table_.impute(X, self.how, seed=self._draw_seed)

    def draws(self, X: Any, count: int) -> list[Any]:
        """A number of tables whose missing cells are drawn independently (multiple imputation)."""
        check_is_fitted(self)
        X = _checked(self, X, reset=False)
        return [self.table_.impute(X, "draw", seed=self._draw_seed + n) for n in range(count)]


class TableOutliers(OutlierMixin, _Estimator):
    """Rows that are unlikely, and the cells that make them so.

    Args:
        contamination: share of the training rows taken for outliers, above 0 and at most 0.5.
        kinds, network, training, random_state: as for :class:`TableDensity`.

    Attributes:
        offset_: the score below which a row is an outlier.

    Example:
        >>> from autoregress.sklearn import TableOutliers
        >>> X = np.random.default_rng(0).normal(size=(200, 2)).round(1)
        >>> outliers = TableOutliers(training={"max_epochs": 5}, random_state=0).fit(X)
        >>> outliers.predict([[0, 0.5], [0, 99]])
        array([ 1, -1])
        >>> outliers.explain([[0, 99]]).blamed()
        ['x1']
    """

    def __init__(
        self,
        *,
        contamination: float = 0.1,
        kinds: Mapping[str, Kind] | None = None,
        network: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(kinds=kinds, network=network, training=training, random_state=random_state)
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learns the table X (rows, columns), and the score of its outliers; y is ignored."""
        if not 0 < self.contamination <= 0.5:
            raise ValueError(
                f"contamination must be above 0 and at most 0.5, got {self.contamination}"
            )
        cells = as_cells(_checked(self, X, reset=True))
        self._learn(cells)
        self.offset_ = float(np.quantile(self._log_density(cells), self.contamination))
        return self

    def score_samples(self, X: Any) -> Floats:
        """As :meth:`TableDensity.score_samples`: the less, the stranger."""
        return self._log_density(self._cells(X))

    def decision_function(self, X: Any) -> Floats:
        """The score (rows,) less ``offset_``: negative for outliers."""
        scores = self.score_samples(X)
        return scores - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """(rows,): −1 for outliers, 1 for others."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def explain(self, X: Any) -> Explanation:
        """How surprising every cell is given the others, see :meth:`autoregress.Table.explain`."""
        cells = self._cells(X)
        return self.table_.explain(cells)


class TableClassifier(ClassifierMixin, _Supervised):
    """p(y | X), a conditional of the model of both.

    The label is one more column of the table, so that X may have gaps, which are summed out.

    Args:
        kinds, network, training, random_state: as for :class:`TableDensity`.

    Attributes:
        classes_: (K,) the labels.

    Example:
        >>> from autoregress.sklearn import TableClassifier
        >>> X, y = [[1, "a"], [2, "b"]] * 50, ["small", "large"] * 50
        >>> model = TableClassifier(training={"max_epochs": 5}, random_state=0).fit(X, y)
        >>> model.predict([[1, None], [None, "b"]])
        array(['small', 'large'], dtype='<U5')
        >>> model.predict_proba([[1, "a"]]).shape
        (1, 2)
    """

    classes_: NDArray[Any]

    def fit(self, X: Any, y: Any) -> Self:
        """Learns the table X (rows, columns) with the labels y (rows,)."""
        X = _checked(self, X, reset=True)
        y = _checked_target(X, y)
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        self._learn_with(X, places, "category")
        return self

    def predict_proba(self, X: Any) -> Floats:
        """(rows, K): the exact p(label | known cells), the label being one of ``classes_``."""
        column, p = self._target_given(X)
        pieces = column.pieces([])
        chosen = [pieces.values.index(str(place)) for place in range(len(self.classes_))]
        p = p[:, pieces.symbols[chosen]] * pieces.shares[chosen]
        return p / p.sum(1, keepdims=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest label (rows,)."""
        p = self.predict_proba(X)
        return self.classes_[p.argmax(1)]


class TableRegressor(RegressorMixin, _Supervised):
    """The distribution of y given X, a conditional of the model of both.

    The target is one more column of the table, so that X may have gaps, which are summed out.

    Args:
        kinds, network, training, random_state: as for :class:`TableDensity`.

    Example:
        >>> from autoregress.sklearn import TableRegressor
        >>> X = np.random.default_rng(0).integers(5, size=(200, 1))
        >>> model = TableRegressor(training={"max_epochs": 5}, random_state=0).fit(X, X[:, 0] * 10)
        >>> model.predict([[0], [4], [np.nan]]).argsort()
        array([0, 2, 1])
        >>> model.predict_quantiles([[0], [4]], [0.05, 0.95]).shape
        (2, 2)
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learns the table X (rows, columns) with the numbers y (rows,)."""
        X = _checked(self, X, reset=True)
        y = _checked_target(X, y).astype(np.float64)
        self._learn_with(X, y, "number")
        return self

    def predict(self, X: Any) -> Floats:
        """The mean (rows,) given the known cells; a bin stands for the median of its numbers."""
        numbers, p = self._numbers_given(X)
        return np.array([numbers.number(n) for n in numbers.mean(p).tolist()])

    def predict_quantiles(self, X: Any, quantiles: Sequence[float]) -> Floats:
        """The quantiles (rows, Q) given the known cells, for shares such as 0.05 and 0.95."""
        numbers, p = self._numbers_given(X)
        each = [numbers.quantile(p, share).tolist() for share in quantiles]
        return np.array([[numbers.number(n) for n in column] for column in each]).T

    def _numbers_given(self, X: Any) -> tuple[Numbers, Floats]:
        column, p = self._target_given(X)
        assert isinstance(column, Numbers)
        return column, p


def _checked(estimator: _Estimator, X: Any, *, reset: bool) -> Any:
    """X, as an array if it is no DataFrame, with the columns that the estimator knows."""
    if hasattr(X, "columns"):
        return validate_data(estimator, X, reset=reset, skip_check_array=True)
    return validate_data(
        estimator,
        X,
        reset=reset,
        dtype=None,
        ensure_all_finite="allow-nan",
        ensure_min_samples=2 if reset else 1,
    )


def _checked_target(X: Any, y: Any) -> NDArray[Any]:
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y")
    check_consistent_length(X, y)
    return y


def _seed(random_state: Any) -> int:
    return int(check_random_state(random_state).randint(SEEDS))

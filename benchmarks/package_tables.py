"""Real tables that Python packages carry, read from the installed packages' own files."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

# What to call each table, the package that carries it, and its file there.
FILES: dict[str, tuple[str, str]] = {
    "penguins": ("palmerpenguins", "data/penguins.csv"),
    "lung": ("lifelines", "datasets/lung.csv"),
    "gbsg2": ("lifelines", "datasets/gbsg2.csv"),
    "rossi": ("lifelines", "datasets/rossi.csv"),
    "ACTG175": ("lifelines", "datasets/ACTG175.csv"),
    "dd": ("lifelines", "datasets/dd.csv"),
    "affairs": ("statsmodels", "datasets/fair/fair_pt.csv"),
    "autos": ("statsmodels", "gam/tests/results/autos.csv"),
    "modechoice": ("statsmodels", "datasets/modechoice/src/TableF18-2.csv"),
    "weather": ("vega_datasets", "_data/seattle-weather.csv"),
}


@dataclass(frozen=True)
class NotInstalledError(Exception):
    """A package that carries a table is not installed."""

    name: str
    package: str

    def __str__(self) -> str:
        return f"{self.name} is left out: pip install {self.package}"


def folder(package: str) -> Path | None:
    """The folder of an installed package; None if it is not installed."""
    spec = importlib.util.find_spec(package)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def load(name: str) -> pd.DataFrame:
    """A table without columns of row numbers.

    Raises:
        NotInstalledError: its package is not installed.
    """
    package, file = FILES[name]
    root = folder(package)
    if root is None or not (root / file).exists():
        raise NotInstalledError(name, package)
    frame = pd.read_csv(root / file, skipinitialspace=True, na_values=["?"])
    return frame.loc[:, [c for c in frame.columns if c and not c.startswith("Unnamed")]]

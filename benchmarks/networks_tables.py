"""Models of tables whose distribution is known, beside the truth and a Chow-Liu tree.

    python benchmarks/networks_tables.py --write docs/results

Rows drawn from the Bayesian networks alarm and insurance (20,000 to learn from, 2,000 that tell
when to stop, 10,000 to measure; shared/data/tables). ``ar.Table.fit`` has its defaults, and so has
``autoregress train made``. The gap is that of the mean −log p of the test rows to their exact
entropy. The errors are the mean absolute difference of p(cell | known) from the exact probability,
over 300 questions with 1 known cell, 300 with 5, and 300 with half of the cells.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

import autoregress as ar
from autoregress.recipes import RECIPES
from autoregress.tables.cells import Cells
from autoregress.tables.structure import Structure

DATA = Path(__file__).parents[2] / "shared" / "data" / "tables"
NETWORKS = ("alarm", "insurance")
# Pseudo-rows of independent columns, among which validation chooses.
PSEUDO = (0.1, 1.0, 10.0)
PAGE = """# Tables whose distribution is known

Rows drawn from two Bayesian networks, 20,000 to learn from. The gap is that of the mean −log p of
10,000 test rows to their exact entropy, in nats; the errors are mean absolute differences of
p(cell | known cells) from the exact probabilities, over 300 questions for each number of known
cells. Seed {seed}, one thread; torch {torch}. The smaller the better.

{table}

All have their defaults where a row says nothing else. `ar.Table` answers with the network without
an ordering, in one pass, and measures rows in one ordering. It learns rows drawn from a sparse
network of the columns along with the real ones; how was chosen by validation rows. Without drawn
rows, alarm's figures were in view when the defaults were chosen. The sparse network alone, found by
counting, measures complete rows and answers no questions. pgmpy's hill-climbing (BIC) has a gap
of 0.059 on alarm and 0.056 on insurance.

The command of one network and one method is
`python benchmarks/networks_tables.py --only insurance --methods tree`; without its options, of all.
"""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Conditional = Callable[[Ints, int], Floats]


@dataclass(frozen=True)
class Network:
    """The rows of a network, and questions with their exact answers."""

    names: list[str]
    labels: list[list[str]]
    train: Ints
    valid: Ints
    test: Ints
    entropy: float
    rows: Ints
    targets: Ints
    known: NDArray[np.bool_]
    truth: Floats

    @classmethod
    def load(cls, name: str) -> Self:
        with np.load(DATA / f"{name}.npz", allow_pickle=False) as file:
            train, valid, test = (file[p].astype(np.int64) for p in ("train", "valid", "test"))
            return cls(
                file["names"].tolist(),
                [json.loads(text) for text in file["labels"]],
                train,
                valid,
                test,
                -float(file["test_log_prob"].mean()),
                *(file[f"query_{part}"] for part in ("row", "target", "known", "truth")),
            )

    @property
    def levels(self) -> list[int]:
        return [len(each) for each in self.labels]

    def texts(self, x: Ints) -> dict[str, list[str | None]]:
        """Rows as columns of labels, None where they are −1."""
        return {
            name: [None if symbol < 0 else labels[symbol] for symbol in column]
            for name, labels, column in zip(self.names, self.labels, x.T.tolist(), strict=True)
        }

    def errors(self, conditional: Conditional) -> dict[str, float]:
        """Mean absolute errors by the number of known cells.

        Args:
            conditional: given rows (n, D), −1 where unknown, and a column, its distributions
                (n, K).
        """
        counts, out = self.known.sum(1), {}
        for count in np.unique(counts):
            each = list[Floats]()
            for dim in np.unique(self.targets[counts == count]):
                at = np.flatnonzero((counts == count) & (self.targets == dim))
                x = np.where(self.known[at], self.test[self.rows[at]], -1)
                own = self.truth[at][:, : self.levels[dim]]
                each.append(np.abs(conditional(x, int(dim)) - own).mean(1))
            out[f"{count} known"] = float(np.concatenate(each).mean())
        return out


@dataclass(frozen=True)
class Tree:
    """A Chow-Liu tree: each column given its parent (Chow and Liu, 1968).

    Attributes:
        order: the columns, parents first.
        parents: the parent of each column, −1 for the root.
        tables: for each column log p(own | parent's), (K of the parent or 1, K).
    """

    order: list[int]
    parents: list[int]
    tables: list[Floats]

    @classmethod
    def fit(cls, x: Ints, levels: list[int], pseudo: float) -> Self:
        """The tree of the most mutual information, as if there had been some pseudo-rows."""
        starts = np.cumsum([0, *levels])
        hot = np.zeros((len(x), starts[-1]))
        hot[np.arange(len(x))[:, None], x + starts[:-1]] = 1
        single = (hot.mean(0) * len(x) + pseudo / np.repeat(levels, levels)) / (len(x) + pseudo)
        joint = (hot.T @ hot + pseudo * np.outer(single, single)) / (len(x) + pseudo)
        part = [slice(a, b) for a, b in pairwise(starts)]

        def information(a: slice, b: slice) -> float:
            p = joint[a, b]
            q = np.outer(p.sum(1), p.sum(0))
            return float((p * np.log(np.maximum(p, 1e-300) / q)).sum())

        weights = np.array([[information(a, b) for b in part] for a in part])
        spanning = minimum_spanning_tree(-np.triu(weights + 1e-9, 1))
        order, parents = breadth_first_order(spanning, 0, directed=False)
        tables = []
        for dim, parent in enumerate(parents.tolist()):
            p = single[None, part[dim]] if parent < 0 else joint[part[parent], part[dim]]
            tables.append(np.log(p / p.sum(1, keepdims=True)))
        return cls(order.tolist(), np.maximum(parents, -1).tolist(), tables)

    def log_prob(self, x: Ints) -> Floats:
        """log p (rows,) of rows (rows, D), unknown cells (−1) summed out."""
        _, root = self._messages(x)
        return np.logaddexp.reduce(self.tables[self.order[0]][0] + root[self.order[0]], axis=1)

    def _messages(self, x: Ints) -> tuple[list[Floats], list[Floats]]:
        """For each column, of what is known at and below it: to its parent, and in itself."""
        own = [np.zeros((len(x), table.shape[1])) for table in self.tables]
        for dim, each in enumerate(own):
            rows = np.flatnonzero(x[:, dim] >= 0)
            each[rows] = -np.inf
            each[rows, x[rows, dim]] = 0
        up = list(own)
        for dim in reversed(self.order):
            if (parent := self.parents[dim]) >= 0:
                up[dim] = np.logaddexp.reduce(self.tables[dim] + own[dim][:, None], axis=2)
                own[parent] = own[parent] + up[dim]
        return up, own

    def conditional(self, x: Ints, dim: int) -> Floats:
        """p(column | known cells), (rows, K)."""
        joint = []
        for symbol in range(self.tables[dim].shape[1]):
            with_it = x.copy()
            with_it[:, dim] = symbol
            joint.append(self.log_prob(with_it))
        p = np.exp(np.stack(joint, 1) - np.max(joint, axis=0)[:, None])
        return p / p.sum(1, keepdims=True)


def tree(network: Network, seed: int, options: Mapping[str, Any]) -> dict[str, float]:
    started = time.process_time()
    each = [Tree.fit(network.train, network.levels, pseudo) for pseudo in PSEUDO]
    best = max(each, key=lambda own: own.log_prob(network.valid).mean())
    seconds = time.process_time() - started
    nats = -float(best.log_prob(network.test).mean())
    return {"nats": nats, **network.errors(best.conditional), "seconds": seconds}


def sparse(network: Network, seed: int, options: Mapping[str, Any]) -> dict[str, float]:
    """The network from which ``ar.Table.fit`` draws rows, alone; it answers no questions."""
    started = time.process_time()
    own = Structure.fit(network.train, network.levels)
    seconds = time.process_time() - started
    x, nats = network.test, 0.0
    for dim, parents in enumerate(own.parents):
        code = np.zeros(len(x), np.int64)
        for parent in parents:
            code = code * own.tables[parent].shape[1] + x[:, parent]
        nats -= float(np.log(np.maximum(own.tables[dim][code, x[:, dim]], 1e-9)).mean())
    return {"nats": nats, "seconds": seconds}


def table(network: Network, seed: int, options: Mapping[str, Any]) -> dict[str, float]:
    started = time.process_time()
    texts, held = network.texts(network.train), network.texts(network.valid)
    kinds: Any = dict.fromkeys(network.names, "category")
    # A label of insurance is "None", which means nothing missing here.
    own = ar.Table.fit(
        texts, valid=held, kinds=kinds, missing=[""], quiet=True, seed=seed, **options
    )
    seconds = time.process_time() - started

    def conditional(x: Ints, dim: int) -> Floats:
        column = own.schema.column(network.names[dim])
        symbols = column.encode(Cells.of(column.name, network.labels[dim])).symbols
        return own.conditionals(column.name, network.texts(x))[:, symbols]

    nats = -float(own.log_prob(network.texts(network.test)).mean())
    return {"nats": nats, **network.errors(conditional), "seconds": seconds}


def made(network: Network, seed: int, options: Mapping[str, Any]) -> dict[str, float]:
    recipe = RECIPES["made"]
    torch.manual_seed(seed)
    model = ar.MADE(len(network.levels), network.levels, **vars(recipe.config))
    started = time.process_time()
    train, valid = (torch.from_numpy(x) for x in (network.train, network.valid))
    ar.fit(model, train, valid=valid, quiet=True, training=recipe.training, seed=seed, **options)
    seconds = time.process_time() - started

    def conditional(x: Ints, dim: int) -> Floats:
        asked = torch.from_numpy(x)
        marginals = model.marginals(asked.clamp(min=0), asked >= 0)
        return marginals.table()[:, dim, : network.levels[dim]].numpy()

    with torch.no_grad():
        nats = -float(model.log_prob(torch.from_numpy(network.test)).mean())
        return {"nats": nats, **network.errors(conditional), "seconds": seconds}


METHODS = {"table": table, "made": made, "tree": tree, "sparse": sparse}
TITLES = {
    "table": "`ar.Table.fit`",
    "made": "`autoregress train made`",
    "without drawn rows": "`ar.Table.fit` as it was, without drawn rows",
    "tree": "Chow-Liu tree",
    "sparse": "the network that rows are drawn from",
}


def measure(name: str, method: str, seed: int, options: Mapping[str, Any]) -> dict[str, float]:
    network = Network.load(name)
    found = METHODS[method](network, seed, options)
    return {"gap": found.pop("nats") - network.entropy, **found, **options}


def page(found: Mapping[str, Mapping[str, Mapping[str, float]]], seed: int) -> str:
    lines = list[str]()
    for name, methods in found.items():
        first = next(iter(methods.values()))
        measures = ["gap", *(each for each in first if each.endswith("known"))]
        lines += ["", f"| {name} | {' | '.join(measures)} | CPU s |"]
        lines.append("|---|" + "---:|" * (len(measures) + 1))
        for method, row in methods.items():
            errors = (f"{row[each]:.4f}" if each in row else "–" for each in measures[1:])
            figures = [f"{row['gap']:.3f}", *errors]
            title = TITLES[method]
            if "max_epochs" in row:  # not the default
                title += f", {row['max_epochs']} epochs"
            lines.append(f"| {title} | {' | '.join(figures)} | {row['seconds']:.0f} |")
    return PAGE.format(seed=seed, torch=torch.__version__, table="\n".join(lines[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="folder for networks.json and networks.md")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=[*METHODS])
    parser.add_argument("--max-epochs", type=int, help="instead of the defaults")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    options = {"max_epochs": arguments.max_epochs} if arguments.max_epochs else {}
    found: dict[str, dict[str, dict[str, float]]] = {}
    file = arguments.write and arguments.write / "networks.json"
    if file and file.exists():  # methods that were measured before
        found = json.loads(file.read_text())
    for name in arguments.only:
        for method in arguments.methods:
            row = measure(name, method, arguments.seed, options)
            found.setdefault(name, {})[method] = row
            print(name, method, {k: round(v, 4) for k, v in row.items()}, flush=True)
    if file:
        file.write_text(json.dumps(found, indent=1) + "\n")
        (arguments.write / "networks.md").write_text(page(found, arguments.seed))


if __name__ == "__main__":
    main()

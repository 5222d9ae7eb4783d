"""How often the 95 % intervals of estimated probabilities hold the model's exact ones.

    python benchmarks/query_coverage.py

learns 2,000 rows of the Bayesian network asia (shared/data/tables), asks for the probabilities of
1,000 random predicates over 2 to 5 columns, estimates each by progressive sampling, as for
predicates too wide to enumerate, and prints the share of intervals, of 1.96 standard errors on both
sides, that hold the exact answer.
"""

from __future__ import annotations

import argparse

import networks_tables
import numpy as np
import torch

import autoregress as ar
from autoregress.tables import table as tables


def predicate(table: ar.Table, rng: np.random.Generator) -> str:
    """Comparisons of 2 to 5 columns with one of their labels, joined at random."""
    names = rng.permutation(np.array(table.schema.names))[: int(rng.integers(2, 6))]
    parts = list[str]()
    for name in names.tolist():
        labels = table.schema.column(name).single_values or ()
        label = labels[int(rng.integers(len(labels)))]
        parts.append(f"`{name}` {rng.choice(['==', '!='])} {label!r}")
    text = parts[0]
    for part in parts[1:]:
        text = f"({text}) {rng.choice(['and', 'or'])} {part}"
    return text


def coverage(table: ar.Table, count: int, seed: int, draws: int = tables.DRAWS) -> float:
    """The share of random predicates whose interval holds the exact answer."""
    rng, inside, asked = np.random.default_rng(seed), 0, 0
    usual = tables.ENUMERATED, tables.DRAWS
    while asked < count:
        text = predicate(table, rng)
        tables.ENUMERATED, tables.DRAWS = usual
        exact = table.probability(text)
        tables.ENUMERATED, tables.DRAWS = 0, draws
        try:
            estimate = table.probability(text, seed=int(rng.integers(2**31)))
        finally:
            tables.ENUMERATED, tables.DRAWS = usual
        if estimate.exact:  # every draw has the same weight: nothing was left to chance
            continue
        asked += 1
        inside += abs(estimate.value - exact.value) <= 1.96 * estimate.standard_error
    return inside / count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = networks_tables.Network.load("asia")
    table = ar.Table.fit(network.texts(network.train[:2000]), quiet=True, seed=arguments.seed)
    share = coverage(table, arguments.queries, arguments.seed)
    print(f"{share:.1%} of {arguments.queries:,} intervals hold the exact answer")


if __name__ == "__main__":
    main()

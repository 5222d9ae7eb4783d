"""The first seeds of every fuzzing door; ``make fuzz`` tries more, without end."""

import fuzz_media  # noqa: F401  # adds its doors
import pytest
from fuzz import DOORS, attempt

QUICK, CASES = 30, 200
FEWER = {"run": 60, "compressed": 60, "restored": 60}  # these train or decode


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_damaged_files_are_read_rightly_or_refused_in_a_sentence(name):
    for seed in range(QUICK):
        attempt(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_so_are_more_of_them_and_some_are_read(name):
    cases = FEWER.get(name, CASES)
    assert 0 < sum(attempt(name, seed) for seed in range(cases)) < cases

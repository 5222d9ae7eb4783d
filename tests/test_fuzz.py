"""The first seeds of every fuzzing door; ``make fuzz`` tries more, without end."""

import fuzz_media  # noqa: F401  # adds its doors
import pytest
from fuzz import DOORS, attempt

# Those that train, and those that decode.
CASES = {"run": 60, "compressed": 60, "restored": 60}


@pytest.mark.parametrize("name", DOORS)
def test_damaged_files_are_read_rightly_or_refused_in_a_sentence(name):
    cases = CASES.get(name, 200)
    read = sum(attempt(name, seed) for seed in range(cases))
    assert 0 < read < cases

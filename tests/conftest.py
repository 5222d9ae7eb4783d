from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import settings
from torch import Tensor

from autoregress.cli import main

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The models here are tiny, and other tests run beside them: a second thread costs more than it
# does, also in the processes that tests start.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)

# A busy machine is no fault of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
# For `make check`: a tenth of the examples of each property.
settings.register_profile("quick", deadline=None, max_examples=10)


@pytest.fixture
def float64() -> Iterator[None]:
    """Models made in the test are float64, for exactness."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        reason = "there is no Chromium: install Debian's chromium, or set CHROMIUM to its path"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield made
        made.close()


def run(*arguments: object) -> int | str:
    """The exit status of a command."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as exit_:
        return exit_.code or 0
    return 0


def all_states(levels: Sequence[int]) -> Tensor:
    """Every event with these numbers of levels, (∏ levels, D)."""
    return torch.tensor(list(itertools.product(*map(range, levels))))

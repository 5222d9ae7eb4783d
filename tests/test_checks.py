"""The checks find what is wrong with a model, and nothing with one that is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from autoregress.checks import check_causality, check_faces, check_normalisation
from autoregress.conditionals import Bernoulli, Conditional
from autoregress.model import Array, AutoregressiveModel, Member
from autoregress.networks.made import MADE
from autoregress.orderings import Ordering
from autoregress.traversal import Unrolling


@dataclass(frozen=True)
class Heavy(Bernoulli):
    """Bits, of a little more probability than there is."""

    def log_prob(self, x: Tensor) -> Tensor:
        return super().log_prob(x) + 0.001


class Toy(AutoregressiveModel):
    """The logit of a bit is a weighted sum of those that come before it.

    Args:
        leaks: further pairs (i, j) of which j sees i.
        heavy: probabilities sum to more than 1.
        late: what the incremental face adds to the logit of the last bit.
    """

    def __init__(
        self,
        visit: Sequence[int],
        *,
        leaks: Sequence[tuple[int, int]] = (),
        absent: Sequence[tuple[int, int]] = (),
        heavy: bool = False,
        late: float = 0.0,
    ) -> None:
        super().__init__(len(visit), 2)
        self.ordering = Ordering(visit)
        self.weight = nn.Parameter(torch.randn(len(visit), len(visit)))
        self.mask = self.ordering.precedes()
        for i, j in leaks:
            self.mask[i, j] = True
        for i, j in absent:
            self.mask[i, j] = False
        self.kind = Heavy if heavy else Bernoulli
        self.late = late

    @property
    def members(self) -> list[Member]:
        return [Member(self.ordering)]

    def forward(
        self, x: Tensor, context: Tensor | None = None, member: Member | None = None
    ) -> Conditional:
        return self.kind(x.to(self.weight.dtype) @ (self.weight * self.mask))

    def unroll(
        self, batch: int, context: Tensor | None = None, member: Member | None = None
    ) -> Unrolling:
        x = torch.zeros(batch, self.dims, dtype=torch.long)
        for t, dim in enumerate(self.ordering.visit.tolist()):
            logits = x.to(self.weight.dtype) @ (self.weight * self.mask)[:, dim]
            x[:, dim] = yield self.kind(logits + (self.late if t == self.dims - 1 else 0))


MADES = [
    {"symbols": 2, "hidden": (40,)},
    {"symbols": (2, 3, 2, 4, 3), "hidden": (40, 40), "orderings": 3, "direct": True},
    {"symbols": 3, "hidden": (40, 40), "orderings": "any", "connectivities": "any"},
    {"symbols": 2, "hidden": (20, 20), "residual": True, "norm": True, "activation": "tanh"},
    {"symbols": 3, "hidden": (20,), "conditioning": True, "context": 3, "dropout": 0.5},
]


@pytest.mark.parametrize("options", MADES)
@pytest.mark.usefixtures("float64")
def test_nothing_is_wrong_with_made(options):
    model = MADE(5, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    model.train()
    causality = check_causality(model, trials=20)
    assert not causality.absent
    assert causality.pairs == 10 or len(model.orderings) > 1
    assert check_normalisation(model) == pytest.approx(1, abs=1e-12)
    assert check_faces(model) < 1e-12
    assert check_faces(model.float()) < 1e-4
    assert model.training


def test_images_are_flattened():
    assert check_causality(MADE((1, 4, 5), 3, hidden=(9,)), trials=1).pairs == 190


def test_a_model_of_one_dimension():
    model = MADE(1, 5, hidden=(3,))
    assert check_causality(model).pairs == 0
    assert check_normalisation(model) == pytest.approx(1)
    assert check_faces(model) < 1e-6


def test_leaks_are_named():
    visit = [4, 2, 0, 1, 3]
    check_causality(Toy(visit))
    with pytest.raises(AssertionError, match="dimension 2 depends on dimension 3, which comes af"):
        check_causality(Toy(visit, leaks=[(3, 2)]))
    with pytest.raises(AssertionError, match="dimension 4 depends on itself"):
        check_causality(Toy(visit, leaks=[(4, 4)]))
    small = Toy(visit, leaks=[(1, 0)]).double()
    with torch.no_grad():
        small.weight[1, 0] = 1e-12
    with pytest.raises(AssertionError, match="dimension 0 depends on dimension 1"):
        check_causality(small)


def test_blind_spots_are_listed():
    causality = check_causality(Toy([2, 0, 1], absent=[(2, 1)]))
    assert causality.pairs == 3
    assert causality.absent == ((2, 1),)
    assert len(check_causality(MADE(6, hidden=(1,))).absent) > 0


def test_a_leak_of_nans_is_not_overlooked_and_nans_are_equal():
    model = Toy([0, 1, 2])
    with torch.no_grad():
        model.weight[0, 1] = torch.nan  # an allowed one
    assert (0, 1) in check_causality(model).absent


def test_probabilities_that_do_not_sum_to_1():
    assert check_normalisation(Toy([1, 0, 2])) == pytest.approx(1)
    heavy = Toy([1, 0, 2], heavy=True).double()
    with pytest.raises(AssertionError, match=r"all 8 states sum to 1\.003"):
        check_normalisation(heavy)
    assert check_normalisation(heavy, tolerance=0.01) == pytest.approx(1.003, abs=1e-4)
    with torch.no_grad():
        heavy.weight.fill_(torch.nan)
    with pytest.raises(AssertionError, match="sum to nan"):
        check_normalisation(heavy)
    with pytest.raises(ValueError, match="too many states"):
        check_normalisation(MADE(21, hidden=(2,)))


def test_the_context_that_is_asked_for():
    model = MADE(3, hidden=(4,), context=2)
    assert check_normalisation(model, context=torch.tensor([100.0, -3.0])) == pytest.approx(1)
    assert check_faces(model, rows=2, context=torch.tensor([[9.0, -3.0], [0.0, 1.0]])) < 1e-4


class Centred(Toy):
    """The logit is a weighted sum of −1 and 1, by arithmetic on the symbols as they come.

    Args:
        wrap: go past what converts them.
    """

    def __init__(self, visit: Sequence[int], *, wrap: bool) -> None:
        super().__init__(visit)
        self.wrap = wrap

    def forward(
        self, x: Tensor, context: Tensor | None = None, member: Member | None = None
    ) -> Conditional:
        return super().forward(2 * x - 1)

    def unroll(
        self, batch: int, context: Tensor | None = None, member: Member | None = None
    ) -> Unrolling:
        x = torch.ones(batch, self.dims, dtype=torch.long)  # of 2 x - 1, and not yet read
        for dim in self.ordering.visit.tolist():
            x[:, dim] = 2 * (yield self.kind(x.float() @ (self.weight * self.mask)[:, dim])) - 1

    def log_prob(self, x: Array, context: Tensor | None = None, *, validate: bool = True) -> Tensor:
        if self.wrap:
            return self.forward(torch.as_tensor(x)).log_prob(torch.as_tensor(x)).double().sum(1)
        return super().log_prob(x, context, validate=validate)


def test_forward_may_compute_with_symbols_as_they_come():
    """In uint8 2 · 0 − 1 is 255: forward never gets to see it."""
    model = Centred([3, 1, 0, 2], wrap=False)
    x = torch.randint(2, (9, 4))
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.bool):
        for measure in (model.log_prob, model.surprisal, model.member_log_probs):
            assert torch.equal(measure(x.to(dtype)), measure(x))
    check_causality(model)
    assert check_faces(model) < 1e-5


@pytest.mark.parametrize("check", [check_causality, check_faces])
def test_symbols_that_are_not_converted(check):
    with pytest.raises(AssertionError, match=r"depends on the dtype .* torch\.uint8"):
        check(Centred([3, 1, 0, 2], wrap=True))


def test_faces_that_disagree():
    assert check_faces(Toy([3, 1, 0, 2])) < 1e-5
    with pytest.raises(AssertionError, match=r"forward and unroll disagree .* most at dimension 2"):
        check_faces(Toy([3, 1, 0, 2], late=0.01))
    assert check_faces(Toy([3, 1, 0, 2], late=0.01), tolerance=0.1) > 1e-3
    model = Toy([0, 1])
    with torch.no_grad():
        model.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="no probabilities: weight holds NaN"):
        check_faces(model)

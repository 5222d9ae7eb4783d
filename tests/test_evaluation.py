"""A score is an exact mean over all examples, whatever the batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from autoregress.data import Data, Source
from autoregress.evaluation import Score, evaluate, measuring
from autoregress.networks.made import MADE


class Lazy(Source):
    """Examples that are made when they are asked for."""

    def __init__(self, x: torch.Tensor, levels: int) -> None:
        super().__init__(x.shape[1:], levels)
        self.x = x
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.x)

    def _rows(self, index: torch.Tensor) -> torch.Tensor:
        self.asked += index.tolist()
        return self.x[index]


@pytest.mark.usefixtures("float64")
def test_the_batch_size_does_not_matter():
    model = MADE((2, 3), (2, 3, 4, 2, 5, 2), hidden=(9,), orderings=3)
    x = torch.stack([torch.randint(0, k, (151,)) for k in model.symbols.levels], 1).view(-1, 2, 3)
    scores = [evaluate(model, x, batch_size=b) for b in (1, 7, 100, 151, 1000)]
    for score in scores:
        assert score.examples == 151
        assert score.nats == pytest.approx(scores[0].nats, rel=1e-12)
        assert score.standard_error == pytest.approx(scores[0].standard_error, rel=1e-12)


@pytest.mark.usefixtures("float64")
def test_the_score_is_what_it_says():
    model = MADE(4, 3, hidden=(5,))
    x = torch.randint(0, 3, (50, 4))
    nats = -model.log_prob(x).detach().numpy()
    score = evaluate(model, x)
    assert score.nats == pytest.approx(nats.mean(), rel=1e-12)
    assert score.bits_per_dim == pytest.approx(nats.mean() / 4 / math.log(2), rel=1e-12)
    assert score.standard_error == pytest.approx(nats.std(ddof=1) / math.sqrt(50), rel=1e-12)
    assert str(Score(89.77125, 0.16519, 10000, 0.26)) == (
        "89.7712 ± 0.2600 nats, 0.1652 bits/dim (10,000 examples)"
    )


def test_a_model_that_knows_nothing_has_one_bit_for_each():
    model = MADE(4, hidden=(5,))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    score = evaluate(model, torch.randint(0, 2, (30, 4)))
    assert score.bits_per_dim == pytest.approx(1)
    assert score.standard_error == pytest.approx(0)


def test_one_example_has_no_standard_error():
    assert math.isnan(
        evaluate(MADE(3, hidden=(4,)), torch.zeros(1, 3, dtype=torch.long)).standard_error
    )


def test_what_data_may_be():
    model, x = MADE(3, 4, hidden=(4,)), torch.randint(0, 4, (25, 3))
    lazy = Lazy(x, 4)
    expected = evaluate(model, x)
    assert evaluate(model, lazy, batch_size=10).nats == pytest.approx(expected.nats, rel=1e-6)
    assert lazy.asked == list(range(25))  # each once
    frozen = x.numpy().copy()
    frozen.flags.writeable = False
    arrays = [x.numpy().astype(t) for t in ("u1", "i2", "u2", "u4", "u8", "i8", ">i4")]
    for data in (Data(x, 4), *arrays, frozen, x.numpy()[::-1][::-1]):
        assert evaluate(model, data) == expected
    bits = MADE(3, hidden=(4,))
    assert evaluate(bits, x.numpy() > 1) == evaluate(bits, (x > 1).long())


def test_a_context_goes_with_its_example():
    model = MADE(3, hidden=(4,), context=2)
    x, context = torch.randint(0, 2, (25, 3)), torch.randn(25, 2)
    expected = -model.log_prob(x, context).mean().item()
    assert evaluate(model, x, context=context, batch_size=4).nats == pytest.approx(expected)
    with pytest.raises(ValueError, match="24 rows for 25 examples"):
        evaluate(model, x, context=context[:24])
    with pytest.raises(ValueError, match="takes a context"):
        evaluate(model, x)


def test_what_cannot_be_evaluated():
    model, x = MADE(3, hidden=(4,)), torch.zeros(5, 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match="no examples"):
        evaluate(model, x[:0])
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        evaluate(model, x, batch_size=0)
    with pytest.raises(ValueError, match="an array of <U1"):
        evaluate(model, np.array([["a", "b", "c"]]))
    with pytest.raises(ValueError, match=r"symbols are integers, got torch\.float64"):
        evaluate(model, np.zeros((2, 3)))
    x[4, 1] = 2
    with pytest.raises(ValueError, match="row 4, column 1 holds 2"):
        evaluate(model, x, batch_size=2)


def test_modes_and_gradients_are_as_before():
    model = MADE(3, hidden=(4, 4))
    model.train()
    model.layers[0].eval()
    with measuring(model):
        assert not any(module.training for module in model.modules())
        assert not model.log_prob(torch.zeros(1, 3, dtype=torch.long)).requires_grad
    assert model.training
    assert not model.layers[0].training
    assert model.layers[1].training


@pytest.mark.parametrize("rounded", [True, False])
def test_convolutions_are_not_rounded_while_a_model_is_measured(monkeypatch, rounded):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", rounded)
    with measuring(MADE(3, hidden=(4,))):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 == rounded

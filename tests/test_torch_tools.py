"""What torch offers for any function of tensors works on the models: func, compile, devices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_device_process import STEPS
from families import FAMILIES
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacrev, jvp, stack_module_state, vmap

import autoregress as ar
from autoregress.networks import masked
from autoregress.networks.degrees import ByDegree
from autoregress.networks.masked import Outer, Product, Staircase

# Forward mode loads formulas that torch itself still compiles in a way that it calls out of date.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")

Parameters = dict[str, Tensor]

MADES: dict[str, dict[str, Any]] = {
    "bits": {"symbols": 2},
    "levels": {"direct": True, "orderings": 2, "connectivities": 2},
    "everything": {
        "hidden": (6, 4, 5), "residual": True, "norm": True, "direct": True, "conditioning": True,
        "activation": "tanh", "context": 2,
    },
}  # fmt: skip


def rough(model: ar.AutoregressiveModel) -> ar.AutoregressiveModel:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model


def rows(model: ar.AutoregressiveModel, count: int) -> tuple[Tensor, Tensor | None]:
    levels = torch.tensor(model.symbols.levels)
    x = (torch.rand(count, model.dims) * levels).long().view(-1, *model.event_shape)
    return x, torch.randn(count, model.context) if model.context else None


class LogProb(nn.Module):
    """A module whose forward is log_prob, as ``functional_call`` has it."""

    def __init__(self, model: ar.AutoregressiveModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.model.log_prob(x, context, validate=False)


def of_one(module: nn.Module) -> Callable[..., Tensor]:
    """log p of one event, as a function of the parameters too."""

    def log_prob(parameters: Parameters, x: Tensor, context: Tensor | None) -> Tensor:
        own = None if context is None else context[None]
        return functional_call(module, parameters, (x[None], own))[0]

    return log_prob


def parameters_of(module: nn.Module) -> Parameters:
    return {name: p.detach() for name, p in module.named_parameters()}


@pytest.fixture(params=[2**19, 1], ids=["one block", "many blocks"])
def _blocks(request, monkeypatch):
    monkeypatch.setitem(masked.BLOCK_SIZE, "cpu", request.param)


# The masked product


@pytest.fixture(params=[False, True], ids=["by target", "by source"])
def stairs(request) -> Staircase:
    source = ByDegree(torch.tensor([3, 1, 4, 2, 2]), 4)
    target = ByDegree(torch.tensor([2, 3, 1, 3]), 4)
    return Staircase(source, target, strict=request.param, by_source=request.param)


@pytest.mark.slow
@pytest.mark.usefixtures("float64", "_blocks")
@pytest.mark.parametrize("to_columns", [False, True])
@pytest.mark.parametrize("offset", [None, (), (3,)], ids=["none", "shared", "each"])
def test_products_are_those_of_the_masked_matrix_and_so_are_all_derivatives(
    stairs, to_columns, offset
):
    rows_side, columns_side = stairs.sides
    weight = torch.randn(len(rows_side), len(columns_side), requires_grad=True)
    here, there = (rows_side, columns_side) if to_columns else (columns_side, rows_side)
    x = torch.randn(3, len(here), requires_grad=True)
    b = None if offset is None else torch.randn(*offset, len(there), requires_grad=True)

    def ours(x: Tensor, weight: Tensor, b: Tensor | None = None) -> Tensor:
        return Product.apply(x, weight, b, stairs, to_columns)  # type: ignore[return-value]

    def dense(x: Tensor, weight: Tensor, b: Tensor | None = None) -> Tensor:
        w = weight * stairs.dense(weight.dtype)
        out = there.sort(here.unsort(x) @ (w if to_columns else w.T))
        return out if b is None else out + b

    inputs = [x, weight, *([] if b is None else [b])]
    torch.testing.assert_close(ours(*inputs), dense(*inputs))
    assert gradcheck(ours, inputs, check_forward_ad=True)
    assert gradgradcheck(ours, inputs, check_fwd_over_rev=True)

    # Whatever is mapped over, and along whichever dimension.
    for mapped in product((False, True), repeat=len(inputs)):
        if not any(mapped):
            continue
        several = [
            torch.stack([own.detach(), -own.detach(), own.detach() ** 2], -1) if many else own
            for own, many in zip(inputs, mapped, strict=True)
        ]
        dims = tuple(-1 if many else None for many in mapped)
        torch.testing.assert_close(vmap(ours, dims)(*several), vmap(dense, dims)(*several))


@pytest.mark.usefixtures("float64", "_blocks")
def test_outer_products_are_masked_and_so_are_all_derivatives(stairs):
    rows_side, columns_side = stairs.sides
    r = torch.randn(3, len(rows_side), requires_grad=True)
    c = torch.randn(3, len(columns_side), requires_grad=True)

    def ours(r: Tensor, c: Tensor) -> Tensor:
        return Outer.apply(r, c, stairs, torch.float64)  # type: ignore[return-value]

    dense = (rows_side.unsort(r).T @ columns_side.unsort(c)) * stairs.dense(torch.float64)
    torch.testing.assert_close(ours(r, c), dense)
    assert gradcheck(ours, (r, c), check_forward_ad=True)
    assert gradgradcheck(ours, (r, c), check_fwd_over_rev=True)


# torch.func


@pytest.mark.usefixtures("float64", "_blocks")
@pytest.mark.parametrize("options", MADES.values(), ids=MADES)
def test_gradients_of_each_example_are_those_of_one_after_another(options):
    model = rough(FAMILIES["MADE"](**options))
    x, context = rows(model, 4)
    module = LogProb(model)
    in_dims = (None, 0, None if context is None else 0)
    each = vmap(grad(of_one(module)), in_dims)(parameters_of(module), x, context)
    for row in range(len(x)):
        module.zero_grad()
        part = None if context is None else context[row : row + 1]
        module(x[row : row + 1], part).sum().backward()
        for name, parameter in module.named_parameters():
            torch.testing.assert_close(each[name][row], parameter.grad)


@pytest.mark.usefixtures("float64", "_blocks")
@pytest.mark.parametrize("options", MADES.values(), ids=MADES)
def test_forward_mode_and_jacobians_agree_with_reverse_mode(options):
    model = rough(FAMILIES["MADE"](**options))
    x, context = rows(model, 4)
    module = LogProb(model)
    parameters = parameters_of(module)
    tangents = {name: torch.randn_like(p) for name, p in parameters.items()}

    def log_prob(parameters: Parameters) -> Tensor:
        return functional_call(module, parameters, (x, context))

    value, slope, *_ = jvp(log_prob, (parameters,), (tangents,))
    torch.testing.assert_close(value, model.log_prob(x, context))
    jacobian = jacrev(log_prob)(parameters)
    expected = sum((jacobian[n].flatten(1) @ t.flatten() for n, t in tangents.items()), 0 * slope)
    torch.testing.assert_close(slope, expected)


@pytest.mark.usefixtures("float64")
def test_second_derivatives_forward_over_reverse_are_those_of_reverse_over_reverse():
    model = rough(FAMILIES["MADE"](hidden=(3,), activation="tanh", direct=True))
    x, _ = rows(model, 1)
    log_prob, parameters = of_one(module := LogProb(model)), parameters_of(module)
    one = hessian(log_prob)(parameters, x[0], None)
    other = jacrev(jacrev(log_prob))(parameters, x[0], None)
    for a in parameters:
        for b in parameters:
            torch.testing.assert_close(one[a][b], other[a][b])
            torch.testing.assert_close(
                one[a][b].flatten(parameters[a].dim()).flatten(0, parameters[a].dim() - 1),
                other[b][a].flatten(parameters[b].dim()).flatten(0, parameters[b].dim() - 1).T,
            )
    assert any(block.any() for row in one.values() for block in row.values())


@pytest.mark.usefixtures("float64")
def test_models_that_differ_in_their_weights_alone_are_measured_at_once():
    models = [rough(FAMILIES["MADE"](**MADES["everything"])) for _ in range(3)]
    for other in models[1:]:  # the orderings and degrees of the first
        other.load_state_dict({**other.state_dict(), **dict(models[0].named_buffers())})
    x, context = rows(models[0], 5)
    modules: list[nn.Module] = [LogProb(model) for model in models]
    parameters, _ = stack_module_state(modules)

    def log_prob(parameters: Parameters) -> Tensor:
        return functional_call(modules[0], parameters, (x, context))

    expected = torch.stack([model.log_prob(x, context) for model in models])
    torch.testing.assert_close(vmap(log_prob)(parameters), expected)


# torch.compile


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", FAMILIES)
def test_log_prob_is_compiled_whole(name):
    model = rough(FAMILIES[name](context=2))
    x, context = rows(model, 3)
    torch._dynamo.reset()
    # Traced for gradients too where compiled models go another way than others.
    backend = "aot_eager" if name == "MADE" else "eager"
    compiled = torch.compile(model.log_prob, fullgraph=True, backend=backend)
    ours, expected = compiled(x, context, validate=False), model.log_prob(x, context)
    torch.testing.assert_close(ours, expected)
    for one, other in zip(
        *(torch.autograd.grad(y.sum(), list(model.parameters())) for y in (ours, expected)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")
@pytest.mark.filterwarnings("ignore")  # of the compiler's own
def test_log_prob_is_compiled_to_code():
    model = rough(FAMILIES["MADE"](**MADES["bits"]))
    x, _ = rows(model, 30)
    torch._dynamo.reset()
    compiled = torch.compile(model.log_prob, fullgraph=True)
    with torch.no_grad():
        ours = compiled(x, validate=False)
        torch.testing.assert_close(ours, model.log_prob(x), atol=1e-5, rtol=1e-5)


# Devices


@pytest.fixture(scope="module")
def fake_device() -> dict[str, str]:
    script = Path(__file__).with_name("fake_device_process.py")
    out = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=os.environ, timeout=300
    )
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", FAMILIES)
def test_all_of_it_stays_on_the_device(name, step, fake_device):
    assert fake_device.get(f"{name} {step}", "") == ""


@pytest.mark.parametrize("name", FAMILIES)
def test_no_validation_is_the_same_likelihood(name):
    model = rough(FAMILIES[name]())
    x, _ = rows(model, 5)
    for measure in (model.log_prob, model.surprisal, model.member_log_probs):
        assert torch.equal(measure(x, validate=False), measure(x))
    with pytest.raises(ValueError, match="symbols are 0 to"):
        model.log_prob(x + 100)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_model_is_loaded_where_it_is_wanted(name, tmp_path):
    model = rough(FAMILIES[name]())
    ar.save(model, tmp_path)
    x, _ = rows(model, 3)
    assert torch.equal(ar.load(tmp_path, map_location="cpu").log_prob(x), model.log_prob(x))
    away = ar.load(tmp_path, map_location="meta")
    assert {t.device.type for t in [*away.parameters(), *away.buffers()]} == {"meta"}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("name", FAMILIES)
def test_a_gpu_gives_what_the_cpu_gives(name, tmp_path):
    model = rough(FAMILIES[name](context=2))
    x, context = rows(model, 5)
    ar.save(model, tmp_path)
    there = ar.load(tmp_path, map_location="cuda")
    expected = model.log_prob(x, context)
    torch.testing.assert_close(there.log_prob(x, context).cpu(), expected, atol=1e-3, rtol=1e-3)
    assert ar.check_faces(there) < 1e-2
    optimiser = torch.optim.AdamW(there.parameters(), lr=1e-2)
    given = None if context is None else context.cuda()
    on_device = x.cuda(), given
    before = there.objective(*on_device, ar.Update(0)).mean()
    for _ in range(20):
        optimiser.zero_grad()
        there.objective(*on_device, ar.Update(0)).mean().backward()
        optimiser.step()
    assert there.objective(*on_device, ar.Update(0)).mean() < before
    assert there.sample(5, on_device[1]).device.type == "cuda"

"""Runs every family on a device that is not there, on tensors without content.

Fake tensors know their device, and refuse to be mixed with those of another or to be read by the
host. Where torch was built for CUDA the device is cuda. A build for the CPU alone cannot
differentiate on that, so there it is one that is made up, which is done in a process of its own.

Prints as JSON what went wrong in each step of each family, nothing if all is well.
"""

from __future__ import annotations

import json
import traceback

import torch
from families import FAMILIES
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import backend_registration

import autoregress as ar

ROWS, CONTEXT = 3, 2
STEPS = ("log_prob", "surprisal", "train", "unroll")


class Absent:
    """A device's module that says it has none."""

    def is_available(self) -> bool:
        return False

    def is_initialized(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0


def device_type() -> str:
    if torch.backends.cuda.is_built():
        return "cuda"
    backend_registration._setup_privateuseone_for_python_backend("absent", Absent())
    return "absent"


def check(step: str, model: ar.AutoregressiveModel, x: torch.Tensor, context: torch.Tensor) -> None:
    device = x.device
    match step:
        case "log_prob":
            assert model.log_prob(x, context, validate=False).device == device
        case "surprisal":
            assert model.surprisal(x, context, validate=False).device == device
        case "train":
            optimiser = torch.optim.AdamW(model.parameters())
            loss = model.objective(x.long(), context, ar.Update(0)).mean()
            assert loss.device == device
            loss.backward()
            optimiser.step()
            used = [p.grad for p in model.parameters() if p.grad is not None]
            assert used
            assert {gradient.device for gradient in used} == {device}
        case "unroll":
            with torch.no_grad():
                steps, zeros = model.unroll(ROWS, context), x.flatten(1)[:, 0].long()
                conditional = next(steps)
                for dim in range(model.dims):
                    assert conditional.table().device == device
                    if dim + 1 < model.dims:
                        conditional = steps.send(zeros)


def main() -> None:
    kind, wrong = device_type(), {}
    for name, build in FAMILIES.items():
        model = build(context=CONTEXT)
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            model._apply(lambda tensor, mode=mode: mode.from_tensor(tensor).to(kind))
            x = torch.zeros(ROWS, *model.event_shape, dtype=torch.uint8, device=kind)
            context = torch.zeros(ROWS, CONTEXT, device=kind)
            for step in STEPS:
                try:
                    check(step, model, x, context)
                except Exception:
                    wrong[f"{name} {step}"] = traceback.format_exc()
    print(json.dumps(wrong))


if __name__ == "__main__":
    main()

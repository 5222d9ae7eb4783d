"""The device to compute on: by name, or the accelerator if there is one."""

from __future__ import annotations

import torch


def resolve_device(name: str = "auto", current: torch.device | None = None) -> torch.device:
    """The device with a name such as cpu, cuda or cuda:1, after a check that it works.

    ``auto`` is the device ``current`` if that is an accelerator, else torch's accelerator if there
    is one, else the CPU.

    Raises:
        ValueError: there is no such device, or it cannot be used.
    """
    if name == "auto":
        if current is not None and current.type != "cpu":
            return current
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        # mps lacks float64, in which likelihoods are summed.
        name = "cpu" if accelerator is None or accelerator.type == "mps" else accelerator.type
    try:
        number = torch.zeros((), dtype=torch.float64, device=name)
        number.item()
        if number.device.type == "cpu" and torch.device(name).index:
            raise RuntimeError("there is only one, whatever its number of cores")
        return number.device
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:  # varies by device
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise ValueError(f"device {name!r} cannot be used: {reason}") from error


def describe_device(device: torch.device) -> str:
    """A device by name and model, such as ``cuda:0 (NVIDIA H100)``."""
    name = getattr(torch.get_device_module(device), "get_device_name", None)
    return str(device) if name is None else f"{device} ({name(device)})"

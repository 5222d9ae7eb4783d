"""Trains a model in a process of its own, for test_planning to compare the memory with the plan.

Its peak is the system's word for it. Prints (peak - before) / planned for the family that is named:
one in a process, for what another has given back may be kept and taken again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import autoregress as ar
from autoregress.planning import plan

CLIP, IMAGE = (8, 3, 32, 32), (3, 32, 32)
SMALL: dict[str, Any] = {
    "width": 128,
    "heads": 4,
    "head_width": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
}

# A model of each family, and a number of examples that make its memory stand out.
MODELS: dict[str, tuple[Callable[[], ar.AutoregressiveModel], int]] = {
    "MADE": (lambda: ar.MADE(784, hidden=(2000, 2000), direct=True), 1000),
    "PixelCNN": (lambda: ar.PixelCNN(IMAGE, layers=2, features=24), 24),
    "GatedPixelCNN": (lambda: ar.GatedPixelCNN(IMAGE, layers=2, features=24), 24),
    "RowLSTM": (lambda: ar.RowLSTM(IMAGE, layers=2, features=24), 24),
    "DiagonalBiLSTM": (lambda: ar.DiagonalBiLSTM(IMAGE, layers=1, features=24), 24),
    "VideoTransformer": (lambda: ar.VideoTransformer(CLIP, **SMALL, ordered=False), 16),
    "ordered VideoTransformer": (lambda: ar.VideoTransformer(CLIP, **SMALL), 16),
}


def memory(what: str) -> int:
    """Bytes that the process has (VmRSS), or the most that it had since the last reset (VmHWM)."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{what}:\s+(\d+) kB", status)
    assert found
    return 1024 * int(found[1])


def measure(build: Callable[[], ar.AutoregressiveModel], examples: int) -> float:
    training = ar.Training(
        batch_size=2 * examples,
        accumulate=2,
        optimiser="rmsprop",
        momentum=0.9,
        ema=0.9,
        max_epochs=1,
        device="cpu",
    )
    planned = plan(build, training).memory
    x = torch.zeros(4 * examples, *build().event_shape, dtype=torch.uint8)
    ar.fit(build(), x[:2], training=training, quiet=True)  # loads what there is to load
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    ar.fit(build(), x, training=training, quiet=True)
    return (memory("VmHWM") - before) / planned


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(measure(*MODELS[sys.argv[1]]))

"""Trains a model in a process of its own, for test_planning to compare the memory with the plan.

Its peak is the system's word for it. Prints (peak - before) / planned for the family that is named:
one in a process, for what another has given back may be kept and taken again.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from families import FAMILIES, IMAGES

import autoregress as ar
from autoregress.planning import plan

PIXELS: dict[str, Any] = {
    "event_shape": (3, 32, 32),
    "symbols": 256,
    "ordered": True,
    "layers": 2,
    "features": 24,
}
CLIPS: dict[str, Any] = {
    "event_shape": (8, 3, 32, 32),
    "symbols": 256,
    "subscale": (4, 2, 2),
    "blocks": ((2, 8, 8),),
    "embedding": 128,
    "width": 128,
    "heads": 4,
    "head_width": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
}
# Of each family the sizes and a number of examples that make its memory stand out.
SIZES: dict[str, tuple[dict[str, Any], int]] = {
    "MADE": (
        {"event_shape": 784, "symbols": 2, "hidden": (2000, 2000), "direct": True},
        1000,
    ),
    **dict.fromkeys(IMAGES, (PIXELS, 10)),
    "DiagonalBiLSTM": (PIXELS | {"layers": 1}, 10),
    "VideoTransformer": (CLIPS, 8),
    "ordered VideoTransformer": (CLIPS, 16),
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
    family = sys.argv[1]
    sizes, examples = SIZES[family]
    print(measure(partial(FAMILIES[family], **sizes), examples))

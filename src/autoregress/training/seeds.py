"""Seeds for everything random, as functions of the run's seed and of a count alone.

Checkpoints thus need not hold the state of any generator.
"""

from __future__ import annotations

import hashlib

import torch


class Seeds:
    """Distinct seeds for the order of each epoch, and for the noise of each update.

    All processes of a run have the same seeds, except those for the noise.

    Torch's CPU generator uses only 32 bits of a seed. The n-th seed is start + n · stride modulo
    2³² for an odd stride, so that no two seeds of a run are the same (up to 10⁹ updates).
    """

    def __init__(self, seed: int, rank: int = 0) -> None:
        digest = hashlib.sha256(str(seed).encode()).digest()
        self._start = int.from_bytes(digest[:4], "little")
        self._stride = int.from_bytes(digest[4:8], "little") | 1
        self._rank = rank

    def _nth(self, n: int) -> int:
        return (self._start + n * self._stride) % 2**32

    def order(self, epoch: int) -> int:
        """The seed for the order of examples in an epoch."""
        return self._nth(3 * epoch)

    def objective(self, step: int) -> int:
        """The seed for the generator given to an update's objective."""
        return self._nth(3 * step + 1)

    def noise(self, step: int) -> int:
        """The seed for torch's own generators during an update, from which dropout draws."""
        seed = self._nth(3 * step + 2)
        return Seeds(seed)._nth(self._rank) if self._rank else seed


def seed_torch(seed: int, device: torch.device) -> None:
    """Seeds torch's default generators for operations on ``device``.

    ``torch.manual_seed`` seeds those of every device, which takes as long as a small update.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)

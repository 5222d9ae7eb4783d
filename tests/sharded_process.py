"""The large Video Transformer on one of 128 devices that share it out, for test_planning.

The other 127 devices are simulated, and tensors have a shape but no content. Prints the bytes of
the weights, of the optimiser's state, and of the peak of an update beyond these.
"""

from __future__ import annotations

import torch
from torch import distributed
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore

from autoregress.model import Update
from autoregress.planning import CountingMode, fused_attention
from autoregress.processes import Processes
from autoregress.recipes import RECIPES
from autoregress.training.distributed import shard
from autoregress.training.optimisation import make_optimiser

DEVICES, PARTS = 128, 2


def main() -> None:
    distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=DEVICES)
    recipe, update = RECIPES["video-large"], 0
    with CountingMode() as mode, fused_attention():
        model = recipe.build((16, 3, 64, 64), 256)
        shard(model, torch.device("cpu"), Processes(0, DEVICES))
        assert isinstance(model, FSDPModule)

        optimiser = make_optimiser(model.parameters(), recipe.training)
        x = torch.zeros(1, 16, 3, 64, 64, dtype=torch.uint8)
        for _ in range(2):  # by the second time all lasting tensors exist
            before, mode.peak = mode.bytes, mode.bytes
            for part in range(PARTS):
                model.set_requires_gradient_sync(part == PARTS - 1)
                with torch.autocast("cpu", torch.bfloat16):
                    loss = model.objective(x, update=Update(generator=torch.Generator())).sum()
                loss.backward()
                del loss
            update = mode.peak - before
            optimiser.step()
            optimiser.zero_grad()

    weights = list(model.parameters())
    moments = [v for p in weights for v in optimiser.state[p].values() if v.shape == p.shape]
    for tensors in (weights, moments):
        print(sum(each.to_local().nbytes for each in tensors if isinstance(each, DTensor)))
    print(update)


if __name__ == "__main__":
    main()

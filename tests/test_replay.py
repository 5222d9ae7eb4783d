"""Updates replayed on a GPU, beside those that are not."""

import pytest
import torch

import autoregress as ar

FAMILIES = (ar.PixelCNN, ar.GatedPixelCNN, ar.RowLSTM, ar.DiagonalBiLSTM)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("family", FAMILIES)
def test_replayed_updates_are_updates(family):
    weights = []
    for replayed in (True, False):
        torch.manual_seed(0)
        model = family((2, 4, 5), symbols=2, layers=2, features=8).cuda()
        assert model.replayable
        model.replayable = replayed
        x = torch.randint(2, (50, *model.event_shape))
        # The last batch of an epoch is smaller, and is not replayed.
        ar.fit(model, x, batch_size=20, max_epochs=3, lr=1e-3, device="cuda", quiet=True)
        weights.append(torch.cat([p.detach().flatten().cpu() for p in model.parameters()]))
    torch.testing.assert_close(*weights, atol=1e-4, rtol=1e-3)

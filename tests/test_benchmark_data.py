"""The data sets of the MADE paper, where a machine has them, read as a user would read them."""

from pathlib import Path

import pytest

import autoregress as ar

BINARY = Path(__file__).parents[2] / "shared" / "data" / "binary"

# dim, rows of train, valid and test, and the density of ones in test: its README's figures.
SETS = {
    "adult": (123, (5000, 1414, 26147), 0.11276),
    "connect4": (126, (16000, 4000, 47557), 0.33333),
    "dna": (180, (1400, 600, 1186), 0.25140),
    "mushrooms": (112, (2000, 500, 5624), 0.18750),
    "nips": (500, (400, 100, 1240), 0.36650),
    "ocr_letters": (128, (32152, 10000, 10000), 0.21874),
    "web": (300, (14000, 3188, 32561), 0.03881),
}


@pytest.mark.skipif(not BINARY.is_dir(), reason="the benchmark data is not on this machine")
@pytest.mark.parametrize("name", list(SETS))
def test_packed_bits_are_read_as_their_readme_says(name):
    dim, rows, density = SETS[name]
    splits = [ar.data.read(BINARY / f"{name}.npz", split=s) for s in ("train", "valid", "test")]
    assert tuple(len(s) for s in splits) == rows
    assert all(s.event_shape == (dim,) and s.levels == 2 for s in splits)
    assert abs(float(splits[2].x.float().mean()) - density) < 1e-5

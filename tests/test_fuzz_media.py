"""The first seeds of the doors for images and clips."""

import fuzz_media
import pytest
from fuzz import attempt

CASES = 150


@pytest.mark.parametrize("door", [fuzz_media.image, fuzz_media.clip], ids=lambda d: d.__name__)
def test_damaged_images_and_clips_are_read_or_refused_in_a_sentence(door):
    read = sum(attempt(door.__name__, seed) for seed in range(CASES))
    assert 0 < read < CASES

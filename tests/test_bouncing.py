"""Digits move as they are said to, and which clip is which depends on the seed and the index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import autoregress as ar
from autoregress.data import bouncing_digits, digits_splits, moving_mnist
from autoregress.data.sets.moving import STEP, _constant_motion, _motion_of_moving_mnist

quick = settings(max_examples=30, deadline=None)


def everything(clips) -> torch.Tensor:
    return clips[torch.arange(len(clips))]


@given(seed=st.integers(0, 10**6), way=st.integers(1, 40), frames=st.integers(1, 30))
@quick
def test_constant_motion_are_constant_and_reflected(seed, way, frames):
    places = _constant_motion(np.random.default_rng(seed), 3, frames, way)
    assert places.shape == (3, frames, 2)
    assert places.min() >= 0
    assert places.max() <= way
    for path in places:
        for line in path.T:
            # Step by step, as a ball does: a wall is where the way back begins.
            for speed in range(-2, 3):
                at, v, walked = int(line[0]), speed, [int(line[0])]
                for _ in range(frames - 1):
                    for _ in range(abs(v)):
                        if not 0 <= at + np.sign(v) <= way:
                            v = -v
                        at += int(np.sign(v))
                    walked.append(at)
                if walked == line.tolist():
                    break
            else:
                pytest.fail(f"{line} is no constant motion between walls {way} apart")


def test_all_starts_and_velocities_are_as_likely():
    places = _constant_motion(np.random.default_rng(0), 48_000, 2, 20)
    starts = np.bincount(places[:, 0, 0], minlength=21) / 48_000
    assert np.abs(starts - 1 / 21).max() < 0.005
    inside = ((places[:, 0] >= 2) & (places[:, 0] <= 18)).all(1)
    moved = (places[:, 1] - places[:, 0])[inside]
    velocities, count = np.unique(moved, axis=0, return_counts=True)
    assert len(velocities) == 8
    assert not (velocities == 0).all(1).any()
    assert np.abs(count / len(moved) - 1 / 8).max() < 0.005


@given(seed=st.integers(0, 10**6), frames=st.integers(2, 60))
@quick
def test_moving_mnist_goes_straight_and_turns_at_the_walls(seed, frames):
    places = _motion_of_moving_mnist(STEP, np.random.default_rng(seed), 2, frames, 36)
    assert places.min() >= 0
    assert places.max() <= 36
    step = np.abs(np.diff(places, axis=1))
    assert step.max() <= 4  # 3.6 pixels, cut down to whole ones
    # Where neither of three places in a row is at a wall, the direction does not change.
    inner = np.all((places > 0) & (places < 35), axis=2)
    straight = inner[:, 2:] & inner[:, 1:-1] & inner[:, :-2]
    turned = np.abs(np.diff(places, n=2, axis=1)).max(2)
    assert (turned[straight] <= 1).all()


def test_moving_mnist_keeps_its_speed():
    places = _motion_of_moving_mnist(
        STEP, np.random.default_rng(0), 2000, 8, 36_000
    )  # fine enough to measure
    step = np.diff(places, axis=1)
    free = np.all((places > 4000) & (places < 32_000), axis=2)
    free = free[:, 1:] & free[:, :-1]
    assert np.abs(np.hypot(*step[free].T) - 3600).max() < 3
    angle = np.arctan2(*step[:, 0][free[:, 0]].T)
    assert abs(np.exp(1j * angle).mean()) < 0.06  # no direction is preferred


def test_a_single_digit_is_seen_whole():
    clips = bouncing_digits(20, frames=6, size=13, split="valid", seed=3)
    originals = {image.tobytes() for image in digits_splits()[1].x.numpy()}
    for clip in everything(clips).numpy():
        for frame in clip[:, 0]:
            found = [
                frame[top : top + 8, left : left + 8].tobytes() in originals
                for top in range(6)
                for left in range(6)
                if frame[top : top + 8, left : left + 8].sum() == frame.sum()
            ]
            assert any(found)


def test_the_brighter_pixel_shows():
    image = np.arange(4, dtype=np.uint8).reshape(1, 2, 2)

    def side_by_side(rng, objects, frames, way):
        return np.array([[[0, 0]] * frames, [[0, 1]] * frames])

    clips = ar.data.MovingImages(
        image, 4, side_by_side, count=1, frames=2, size=3, objects=2, seed=0
    )
    assert clips[torch.tensor([0])][0, 1, 0].tolist() == [[0, 1, 1], [2, 3, 3], [0, 0, 0]]


def test_the_splits_have_no_digit_in_common():
    def digits(split):
        clips = bouncing_digits(400, frames=1, size=9, split=split)
        crops = [
            frame[frame.any(1)][:, frame.any(0)].tobytes()
            for frame in everything(clips)[:, 0, 0].numpy()
        ]
        return set(crops)

    train, test = digits("train"), digits("test")
    assert len(train) > 250
    assert not train & test


@pytest.mark.parametrize("make", [bouncing_digits, moving_mnist])
def test_a_clip_is_a_function_of_seed_and_index(make):
    clips = make(10**7, seed=5)  # as good as endless
    some = torch.tensor([9_999_999, 3, 0, 3])
    x = clips[some]
    torch.manual_seed(1)  # the global states are not looked at
    np.random.default_rng(1)
    assert torch.equal(clips[some.flip(0)], x.flip(0))
    assert torch.equal(make(4, seed=5)[some[1:]], x[1:])
    assert torch.equal(x[1], x[3])
    assert not torch.equal(x[1], x[2])
    assert not torch.equal(make(4, seed=6)[some[1:]], x[1:])


def test_shapes_and_levels():
    clips = bouncing_digits(3)
    assert clips.event_shape == (8, 1, 16, 16)
    assert clips.levels == 17
    assert clips.data().x.shape == (3, 8, 1, 16, 16)
    bits = bouncing_digits(3, levels=2)
    assert torch.equal(bits.data().x, (everything(clips).long() * 2 // 17).to(torch.uint8))
    standard = moving_mnist(2)
    assert standard.event_shape == (20, 1, 64, 64)
    assert standard.data().levels == 256
    assert int(standard.data().x.max()) > 200
    assert moving_mnist(2, levels=2).data().x.unique().tolist() == [0, 1]
    assert bouncing_digits(1, frames=3, size=20, digits=4).event_shape == (3, 1, 20, 20)


def test_images_of_ones_own():
    images = torch.full((5, 1, 28, 28), 200, dtype=torch.uint8)
    x = moving_mnist(2, images=images, digits=1).data().x
    assert ((x > 0).flatten(2).sum(2) == 28 * 28).all()
    assert x.unique().tolist() == [0, 200]
    assert torch.equal(moving_mnist(2, images=images[:, 0].numpy(), digits=1).data().x, x)


def test_senseless_settings():
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"frames": 0}, "at least 1, not 1, 0 and 1"),
        ({"digits": 0}, "at least 1"),
        ({"size": 8}, "8 pixels high need a frame of more"),
        ({"levels": 18}, "2 to 17 levels, not 18"),
        ({"split": "all"}, "train, valid, test, not 'all'"),
    ]
    for options, message in mistakes:
        with pytest.raises(ValueError, match=message):
            bouncing_digits(1, **options)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        bouncing_digits(0)
    with pytest.raises(ValueError, match="2 to 256 levels, not 1"):
        moving_mnist(1, levels=1)
    with pytest.raises(ValueError, match=r"uint8 \(M, h, h\), not float32 \(2, 28, 28\)"):
        moving_mnist(1, images=np.zeros((2, 28, 28), np.float32))


def test_a_model_learns_from_them():
    train = bouncing_digits(64, frames=2, size=9, levels=2)
    model = ar.MADE(train.event_shape, train.levels, hidden=(8,))
    fit = ar.fit(model, train, max_epochs=2, batch_size=16, quiet=True)
    assert fit.history[1]["train_nats"] < fit.history[0]["train_nats"]
    others: list[dict[str, Any]] = [{}, {"seed": 1}, {"frames": 4}, {"digits": 2}, {"levels": 2}]
    marks = [bouncing_digits(9, **one).digest for one in others]
    assert len(set(marks)) == len(marks)

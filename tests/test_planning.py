"""What a plan says is what training takes: counted by hand, measured, and sharded."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, IMAGES

import autoregress as ar
from autoregress import planning
from autoregress.cli import main
from autoregress.recipes import RECIPES

HERE = Path(__file__).parent
ON_CPU = ar.Training(batch_size=4, device="cpu")
PIXELS: dict[str, Any] = {
    "event_shape": (3, 8, 8),
    "symbols": 256,
    "ordered": False,
    "layers": 2,
    "features": 6,
    "head": 9,
}
CLIPS: dict[str, Any] = {
    "event_shape": (4, 3, 8, 8),
    "symbols": 256,
    "subscale": (2, 2, 2),
    "blocks": ((2, 4, 4),),
    "width": 24,
    "embedding": 7,
    "heads": (2, 3),
    "head_width": 5,
    "encoder_layers": 2,
}
SIZES: dict[str, dict[str, Any]] = {
    "MADE": {
        "event_shape": 20,
        "symbols": 2,
        "hidden": (30, 40),
        "direct": True,
        "orderings": "any",
        "dropout": 0.1,
    },
    **dict.fromkeys(IMAGES, PIXELS),
    "VideoTransformer": CLIPS,
    "ordered VideoTransformer": CLIPS | {"mixture": 6},
}
SMALL = {name: partial(FAMILIES[name], **sizes) for name, sizes in SIZES.items()}
clips = SMALL["VideoTransformer"]


# Multiply-adds of one example, forwards; and those of the first layer, whose inputs have no
# gradient. From the papers' definitions.


def of_made():
    dims, first, second = 20, 30, 40
    entry = dims * first + dims * dims
    return entry + first * second + second * dims, entry


def of_images(entry, layer, stream, head=9, channels=3, levels=256):
    top = stream * head + head * head + head * channels * levels
    return 64 * (entry + 2 * layer + top), 64 * entry


def of_clips(encoder, pixel, head):
    """Multiply-adds of one slice; those of what the encoder reads, a pixel's features, a head."""
    width, embedding, head_width = 24, 7, 5
    pixels, block = 2 * 4 * 4, 2 * 4 * 4
    total = embedding * width + width * width + head
    for heads in (2, 3, 2):
        inner = heads * head_width
        total += 4 * width * inner + 2 * block * inner + 2 * width * width
    inputs = encoder * embedding + pixel * width
    return pixels * (total + inputs), pixels * inputs


def of_nominal_clips():
    # Embedded digits have a gradient, unlike numbers.
    width, embedding, digits = 24, 7, 6
    whole, _ = of_clips(0, 27 * embedding, digits * (width * width + 16 * width))
    return whole, 0


def of_ordered_clips():
    width, channels, nearby, mixture = 24, 3, 17, 6
    outputs = mixture * (1 + 2 * channels + 3) + channels * nearby
    seen = 2 * channels + 1
    entry = 27 * seen + channels * nearby + 1
    return of_clips(3 * 3 * 3 * seen, entry, outputs * width)


h, c = 6, 3
FORWARD = {
    "MADE": of_made(),
    # 7 × 7 up to the pixel, in four rows; then 1 × 1, 2 rows of 3, and 1 × 1 to stream and skip.
    "PixelCNN": of_images(28 * (c + 1) * 2 * h, 2 * h * h + 6 * h * h + h * 4 * h, 2 * h),
    # 3 × 7 and 1 × 4; then 2 × 3, 1 × 1 across, 1 × 2 and 1 × 1.
    "GatedPixelCNN": of_images(
        (21 + 4) * (c + 1) * h, 6 * h * 2 * h + 4 * h * h + 2 * h * 2 * h + h * 2 * h, h
    ),
    # The four gates from 2 pixels of the stream, and from 3 states.
    "RowLSTM": of_images(28 * (c + 1) * 2 * h, 4 * h * (2 * 2 * h + 3 * h) + h * 4 * h, 2 * h),
    # In two maps, from 1 pixel and 2 states each.
    "DiagonalBiLSTM": of_images(
        28 * (c + 1) * 2 * h, 2 * 4 * h * (2 * h + 2 * h) + h * 4 * h, 2 * h
    ),
    "VideoTransformer": of_nominal_clips(),
    "ordered VideoTransformer": of_ordered_clips(),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FORWARD)
def test_operations_are_those_of_the_papers_equations(family):
    forward, entry = FORWARD[family]
    assert ar.plan(SMALL[family], ON_CPU).flop == 4 * 2 * (3 * forward - entry)


def test_what_is_kept_of_each_parameter():
    small = SMALL["MADE"]
    count = sum(p.numel() for p in small().parameters())
    for options, moments in {
        ("rmsprop", 0.9): 2,
        ("rmsprop", 0.0): 1,
        ("sgd", 0.0): 0,
        ("adamw", 0.0): 2,
        ("adagrad", 0.0): 1,
    }.items():
        optimiser, momentum = options
        training = replace(ON_CPU, optimiser=optimiser, momentum=momentum, ema=0.9)
        plan = ar.plan(small, training)
        kept = plan.weights, plan.gradients, plan.optimiser, plan.average
        assert plan.parameters == count
        assert kept == tuple(4 * count * n for n in (1, 1, moments, 1))


@pytest.mark.slow
def test_devices_and_accumulation_divide_the_batch():
    small, training = SMALL["PixelCNN"], replace(ON_CPU, batch_size=12)
    one = ar.plan(small, training)
    parts = ar.plan(small, replace(training, accumulate=4), devices=2)
    many = ar.plan(small, training, devices=50)
    assert (one.examples, one.part) == (12, 12)
    assert (parts.examples, parts.part, parts.flop) == (6, 2, one.flop / 2)
    assert (many.examples, many.part, many.flop) == (1, 1, one.flop / 12)
    assert parts.gradients == one.gradients
    assert many.activations < parts.activations < one.activations / 4


@pytest.mark.slow
def test_a_large_batch_is_extrapolated(monkeypatch):
    small, training = SMALL["PixelCNN"], replace(ON_CPU, batch_size=30)
    whole = ar.plan(small, training)
    monkeypatch.setattr(planning, "MOST_NUMBERS", 8 * small().dims)
    extrapolated = ar.plan(small, training)
    assert extrapolated.flop == pytest.approx(whole.flop)
    assert extrapolated.activations == pytest.approx(whole.activations, rel=0.01)


@pytest.mark.slow
def test_what_takes_less_memory():
    training = replace(ON_CPU, batch_size=32)
    plain = ar.plan(clips, training)
    sparing = ar.plan(lambda: clips(checkpointing=True), training)
    fused = ar.plan(clips, replace(training, device="cuda"))
    half = ar.plan(clips, replace(training, precision="bfloat16", device="cuda"))
    assert sparing.activations < plain.activations
    assert plain.flop < sparing.flop < 4 / 3 * plain.flop
    assert half.activations < fused.activations < plain.activations


def test_time_is_operations_by_the_share_of_the_peak():
    plan = ar.plan(SMALL["MADE"], ON_CPU, peak=1e9, share=0.5)
    assert plan.seconds == pytest.approx(plan.flop / 5e8)


@pytest.mark.parametrize("wrong", [{"devices": 0}, {"peak": 0.0}, {"share": 1.5}, {"share": 0.0}])
def test_numbers_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        ar.plan(clips, **wrong)


def test_a_plan_leaves_nothing_behind():
    before = torch.random.get_rng_state()
    ar.plan(SMALL["MADE"], ON_CPU)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.rand(2).tolist() != [0, 0]
    assert len(SMALL["MADE"]().sample(2)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("family", SMALL)
def test_memory_is_what_training_takes(family):
    # Tensors, as small as the state of a row (30 KB), are given back to the system one by one, and
    # not kept for those to come.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "16384"}
    process = [sys.executable, str(HERE / "memory_process.py"), family]
    done = subprocess.run(process, env=environment, capture_output=True, text=True, check=True)
    assert 0.9 < float(done.stdout) < 1.1


@pytest.mark.slow
def test_the_large_transformer_takes_as_much_as_planned_when_it_is_sharded():
    process = [sys.executable, str(HERE / "sharded_process.py")]
    done = subprocess.run(process, capture_output=True, text=True, check=True)
    weights, optimiser, update = map(int, done.stdout.split())
    recipe = RECIPES["video-large"]
    plan = ar.plan(
        lambda: recipe.build((16, 3, 64, 64), 256),
        replace(recipe.training, batch_size=256, accumulate=2, sharding="full"),
        devices=128,
    )
    assert (plan.weights, plan.optimiser) == (weights, optimiser)
    beside = plan.gradients + plan.gathered + plan.activations
    assert update < beside < 1.15 * update


@pytest.mark.slow
def test_a_fresh_process_plans():
    command = [sys.executable, "-m", "autoregress", "plan", "made-digits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("parameters")


@pytest.mark.slow
def test_the_page_shows_what_the_command_prints(capsys):
    page = (HERE.parent / "docs" / "scale.md").read_text()
    shown = re.findall(
        r"```console\n(autoregress plan [^\n]*)\n```\n\n```\n(.*?)```", page, re.DOTALL
    )
    assert shown
    for command, output in shown:
        main(command.split()[1:])
        assert capsys.readouterr().out == output

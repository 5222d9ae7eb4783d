"""Command lines that must be refused: by status 1 or 2, one sentence, and nothing written.

``make`` lays out the files that they name; ``COMMANDS`` lists the command lines by what is wrong
with them. Options that every verb, or every option of a kind, refuses are multiplied out.
"""

from __future__ import annotations

import csv
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import autoregress as ar
from autoregress.tables import Table

# A sentence of its own for each would only repeat the option.
HUGE = "100000000000000000000000"  # 10^23: no number of 64 bits
ABSURD = "1000000000000000000"  # 10^18: one of 64 bits, but of nothing

MODELS = ("run", "table", "label", "vector", "pixels", "video")


def make(folder: Path) -> None:
    """Files of every kind, good and bad, and small models, in the folder."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (40, 6)).astype(np.uint8)
    x[0] = 2
    np.savez(folder / "data.npz", train=x[:24], valid=x[24:32], test=x[32:])
    np.save(folder / "rows.npy", x[:7])
    np.savez(folder / "partial.npz", x=x[:7], known=rng.random((7, 6)) < 0.5)
    np.savez(folder / "several.npz", a=x, b=x)
    np.savez(folder / "nothing.npz")
    np.savez(folder / "wrong-known.npz", x=x, known=np.ones((3, 3), bool))
    np.savez(folder / "number-known.npz", x=x, known=np.ones((40, 6)))
    np.savez(folder / "conditions.npz", x=x, c=rng.normal(size=(40, 2)), short=np.zeros((3, 2)))
    wrong = {
        "wide": np.zeros((3, 7), int),
        "high": np.where(x > 1, 9, x),
        "negative": x.astype(int) - 1,
        "fractions": x + 0.5,
        "nan": np.where(x > 1, np.nan, x),
        "infinite": np.where(x > 1, np.inf, x),
        "beyond": np.full((3, 6), 2**40),
        "empty": np.zeros((0, 6), int),
        "flat": np.zeros((3, 0), int),
        "scalar": np.array(3),
        "complex": x.astype(complex),
        "texts": x.astype(str),
        "dates": x.astype("datetime64[s]"),
        "cube": np.zeros((3, 6, 2), int),
        "pickle": np.array([{"a": 1}], dtype=object),
    }
    for name, array in wrong.items():
        np.save(folder / f"{name}.npy", array)
    whole = (folder / "rows.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:-5])
    (folder / "stub.npy").write_bytes(whole[:20])
    (folder / "text.npy").write_text("1,2,3\n")
    (folder / "cut.npz").write_bytes((folder / "data.npz").read_bytes()[:-40])
    (folder / "void.npy").write_bytes(b"")

    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["colour", "size"])
        rows.writerows(zip(["red", "blue"] * 20, [0, 1, 2, 3] * 10, strict=True))
    people = [f"{30 + i % 40},{'mf'[i % 2]},{i % 3 * 1.5}" for i in range(60)]
    texts = {
        "people.csv": "\n".join(["age,sex,score", *people, ""]),
        "gaps.csv": "age,sex,score\n31,,1.5\n,m,\n",
        "partial.csv": "colour,size\nred,\n,3\n",
        "ragged.csv": "colour,size\nred,1\nblue,2,3\n",
        "header.csv": "colour,size\n",
        "void.csv": "",
        "blank.csv": "\n\n\n",
        "twice.csv": "colour,colour\nred,red\n",
        "more.csv": "colour,size,price\nred,1,2\n",
        "fewer.csv": "colour\nred\n",
        "others.csv": "hue,extent\nred,1\n",
        "unseen.csv": "colour,size\ngreen,1\n",
        "missing.csv": "colour,size\nred,\nblue,1\n",
        "numbers.csv": "1,2,3\n4,5,6\n",
        "lonely.csv": "colour\nred\nblue\n",
        "many.csv": "name\n" + "".join(f"n{i}\n" for i in range(300)),
        "semicolons.csv": "colour;size\nred;1\nblue;2\n",
        "tabs.csv": "colour\tsize\nred\t1\nblue\t2\n",
        "quote.csv": 'colour,size\n"red,1\n',
        "config.json": "{}",
        "notes.txt": "nothing",
        "images.png": "no picture",
        "film.mp4": "no film",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "latin.csv").write_bytes("colour,size\ngrün,1\n".encode("latin-1"))
    (folder / "nul.csv").write_bytes(b"colour,size\nred,\x001\n")
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 8)

    for name in ("images", "classes/a", "classes/b", "broken", "mixed", "hollow", "clips", "notes"):
        (folder / name).mkdir(parents=True)
    for i in range(6):
        picture = Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8))
        for place in ("images", "classes/a", "classes/b"):
            picture.save(folder / place / f"{i}.png")
    Image.new("L", (6, 6)).save(folder / "mixed/a.png")
    Image.new("L", (5, 6)).save(folder / "mixed/b.png")
    (folder / "broken/a.png").write_bytes((folder / "images/0.png").read_bytes()[:30])
    (folder / "notes/a.txt").write_text("nothing")
    clips = torch.from_numpy(rng.integers(0, 2, (3, 4, 1, 4, 4), np.uint8))
    ar.data.write(folder / "clips/a.mkv", clips, 2)
    ar.data.write(folder / "clip.mkv", clips[:1], 2)

    columns = ar.data.read(folder / "table.csv").columns
    models = {
        "run": ar.MADE(6, 3, hidden=(8,), evidence=True),
        "any": ar.MADE(6, 3, hidden=(8,), orderings="any"),
        "natural": ar.MADE(6, 3, hidden=(8,)),
        "bits": ar.MADE(6, 2, hidden=(8,)),
        "table": ar.MADE(2, (2, 4), hidden=(8,), columns=columns, evidence=True),
        "label": ar.MADE(6, 3, hidden=(8,), labels=("a", "b"), context=2),
        "vector": ar.MADE(6, 3, hidden=(8,), context=2),
        "pixels": ar.PixelCNN((1, 6, 6), 256, layers=1, features=4),
        "video": ar.VideoTransformer(
            (4, 1, 4, 4), 2, width=8, embedding=4, heads=1, head_width=4, encoder_layers=1,
            decoder_layers=1, subscale=(2, 1, 1), blocks=((2, 4, 4),), priming=(0, 1),
        ),
    }  # fmt: skip
    for name, model in models.items():
        ar.save(model, folder / name)
    for name in ("half", "torn", "garbled", "list", "foreign", "switched"):
        (folder / name).mkdir()
        for part in ("config.json", "model.safetensors"):
            (folder / name / part).write_bytes((folder / "run" / part).read_bytes())
    (folder / "half/model.safetensors").unlink()
    (folder / "torn/model.safetensors").write_bytes(
        (folder / "run/model.safetensors").read_bytes()[:-9]
    )
    (folder / "garbled/config.json").write_text('{"model": ', encoding="utf-8")
    (folder / "list/config.json").write_text("[1, 2]", encoding="utf-8")
    config = (folder / "run/config.json").read_text(encoding="utf-8")
    (folder / "foreign/config.json").write_text(config.replace("MADE", "FADE"), encoding="utf-8")
    (folder / "switched/config.json").write_bytes((folder / "bits/config.json").read_bytes())

    Table.fit(folder / "people.csv", run=folder / "people", max_epochs=1, quiet=True)
    (folder / "half-people").mkdir()
    (folder / "half-people/schema.json").write_text("{", encoding="utf-8")
    (folder / "no-schema.json").write_text('{"a": 1}', encoding="utf-8")

    packed = ar.encode(models["run"], x[:7])
    (folder / "rows.areg").write_bytes(packed)
    (folder / "cut.areg").write_bytes(packed[:-3])
    (folder / "stub.areg").write_bytes(packed[:9])
    (folder / "void.areg").write_bytes(b"")
    (folder / "flipped.areg").write_bytes(packed[:-1] + bytes([packed[-1] ^ 1]))
    (folder / "label.areg").write_bytes(
        ar.encode(models["label"], x[:7], context=torch.eye(2)[[0] * 7])
    )
    (folder / "vector.areg").write_bytes(
        ar.encode(models["vector"], x[:7], context=torch.ones(7, 2))
    )


TRAIN = "train made --data data.npz --run new --max-epochs 1 --hidden 8"
PIXELS = "train pixelcnn --data images --run new --max-epochs 1 --layers 1 --features 4"
VIDEO = (
    "train video-small --data clips --run new --max-epochs 1 --width 8 --heads 1 --head-width 4 "
    "--frames 4 --encoder-layers 1 --decoder-layers 1 --embedding 4 --levels 2"
)
# Every verb that takes a model, in order.
WITH_RUN = {
    "evaluate": "evaluate {} --data rows.npy",
    "sample": "sample {} --out new.npy",
    "complete": "complete {} partial.npz --out new.npz",
    "score": "score {} rows.npy --out new.csv",
    "compress": "compress {} rows.npy --out new.areg",
    "decompress": "decompress {} rows.areg --out new.npy",
    "info": "info {}",
    "mix": "mix {} --out new",
}
# Every verb that reads examples like a model's, with a model of six columns of three levels.
WITH_DATA = {
    "evaluate": "evaluate run --data {}",
    "complete": "complete run {} --out new.npz",
    "score": "score run {} --out new.csv",
    "compress": "compress run {} --out new.areg",
}
WITH_OUT = {
    "sample": "sample run --out {}",
    "complete": "complete run partial.npz --out {}",
    "score": "score run rows.npy --out {}",
    "compress": "compress run rows.npy --out {}",
    "decompress": "decompress run rows.areg --out {}",
}
WITH_DEVICE = {
    **{verb: line.format("run") for verb, line in WITH_RUN.items() if verb not in ("info", "mix")},
    "train": TRAIN,
}

BAD_RUNS = (
    "nowhere", "rows.npy", "images", "hollow", "half", "torn", "garbled", "list", "foreign",
    "switched", "/dev/null", "''",
)  # fmt: skip
BAD_ARRAYS = (
    "nowhere.npy", "nowhere.npz:x", "wide.npy", "high.npy", "negative.npy", "fractions.npy",
    "nan.npy", "infinite.npy", "beyond.npy", "empty.npy", "flat.npy", "scalar.npy", "complex.npy",
    "texts.npy", "dates.npy", "cube.npy", "pickle.npy", "cut.npy", "stub.npy", "text.npy",
    "void.npy", "cut.npz", "nothing.npz", "several.npz", "several.npz:c", "numbers.csv", "void.csv",
    "images", "hollow", "notes", "notes.txt", "config.json", "run", "film.mp4", "clips",
)  # fmt: skip
BAD_TABLES = (
    "semicolons.csv", "tabs.csv",
    "ragged.csv", "header.csv", "void.csv", "blank.csv", "twice.csv", "more.csv", "fewer.csv",
    "others.csv", "unseen.csv", "numbers.csv", "latin.csv", "nul.csv", "binary.csv", "rows.npy",
    "table.csv:colour",
)  # fmt: skip
# They only do not fit the model.
GOOD_ALONE = ("more.csv", "fewer.csv", "others.csv", "unseen.csv", "numbers.csv", "rows.npy")
BAD_OUTS = (
    "nowhere/new.npy", "images", "rows.npy/new.npy", "new.jpg", "new", "new.npy.txt", "/", "''",
    "/proc/new.npy",
)  # fmt: skip
BAD_DEVICES = ("cuda:9", "gpu", "tpu", "cpu:7", "meta", "''", "cuda:-1", "CPU", "0")

# Options of a whole number, with a command that takes it, and of the least value allowed.
WHOLE = {
    ("serve run --no-open", "--port"): 0,
    ("sample run --out new.npy", "--count"): 1,
    ("sample run --out new.npy", "--seed"): None,
    ("sample video --out new.gif", "--rate"): 1,
    ("complete run partial.npz --out new.npz", "--seed"): None,
    ("complete video clips --out new.npz", "--known-frames"): 0,
    ("complete video clips --known-frames 1 --out new.gif", "--rate"): 1,
    ("complete pixels images --out new.npz", "--known-rows"): 0,
    ("evaluate run --data rows.npy", "--batch-size"): 1,
    ("evaluate any --data rows.npy", "--orderings"): 1,
    ("evaluate video --data clips", "--stride"): 1,
    ("score run rows.npy --out new.csv", "--top"): 0,
    ("score video clips --out new.csv", "--stride"): 1,
    ("compress video clips --out new.areg", "--stride"): 1,
    ("prepare --data images --out new", "--workers"): 1,
    ("prepare --data images --out new", "--megabytes"): 1,
    ("prepare --data images --out new", "--seed"): None,
    ("prepare --data images --out new", "--levels"): 2,
    ("prepare --data clips --out new", "--frames"): 1,
    ("prepare --data clips --out new --frames 2", "--step"): 1,
    ("prepare --data clips --out new --frames 2", "--stride"): 1,
    ("plan made", "--devices"): 1,
    ("plan made", "--models"): 1,
    ("plan made", "--batch"): 1,
    ("plan made", "--steps"): 1,
    ("plan made", "--levels"): 2,
    ("plan made", "--shape"): 1,
    (TRAIN, "--models"): 1,
    (TRAIN, "--max-epochs"): 1,
    (TRAIN, "--batch-size"): 1,
    (TRAIN, "--accumulate"): 1,
    (TRAIN, "--warmup"): 0,
    (TRAIN, "--patience"): 0,
    (TRAIN, "--seed"): None,
    (TRAIN, "--levels"): 2,
    (TRAIN, "--hidden"): 1,
    (TRAIN, "--mixture"): 1,
    (TRAIN, "--orderings"): 1,
    (TRAIN, "--connectivities"): 1,
    (TRAIN.replace("data.npz", "table.csv"), "--max-categories"): 1,
    (PIXELS, "--layers"): 1,
    (PIXELS, "--features"): 1,
    (PIXELS, "--head"): 1,
    (PIXELS, "--mixture"): 1,
    (PIXELS, "--scales"): 2,
    (PIXELS, "--levels"): 2,
    (VIDEO, "--width"): 1,
    (VIDEO, "--embedding"): 1,
    (VIDEO, "--heads"): 1,
    (VIDEO, "--head-width"): 1,
    (VIDEO, "--encoder-layers"): 0,
    (VIDEO, "--decoder-layers"): 0,
    (VIDEO, "--frames"): 1,
    (VIDEO, "--stride"): 1,
    (VIDEO, "--step"): 1,
}
# Sizes for which no absurd value is too much, as they bound something else.
ANY_SIZE = {
    "--seed", "--top", "--batch-size", "--batch", "--max-epochs", "--accumulate", "--warmup",
    "--patience", "--step", "--steps", "--megabytes", "--max-categories", "--devices",
}  # fmt: skip
# Options of a number, with the least and the most that they exclude.
NUMBERS = {
    ("sample run --out new.npy", "--temperature"): ("0", "-1"),
    ("complete run partial.npz --out new.npz", "--temperature"): ("0", "-1"),
    ("plan made", "--peak"): ("0", "-1"),
    ("plan made", "--share"): ("0", "-1", "1.5"),
    ("train made --data rows.npy --run new --hidden 8", "--holdout"): ("0", "1", "-1", "2"),
    ("prepare --data images --out new", "--holdout"): ("0", "1", "-1", "2"),
    (TRAIN, "--lr"): ("0", "-1"),
    (TRAIN, "--weight-decay"): ("-1",),
    (TRAIN + " --optimiser sgd", "--momentum"): ("-1", "1"),
    (TRAIN + " --optimiser rmsprop", "--decay"): ("0", "1"),
    (TRAIN, "--eps"): ("0", "-1"),
    (TRAIN, "--clip"): ("0", "-1"),
    (TRAIN, "--ema"): ("-1", "1"),
    (TRAIN, "--dropout"): ("-1", "1"),
    (TRAIN, "--checkpoint-minutes"): ("0", "-1"),
}

WORDS = {
    (TRAIN, "--optimiser"): ("adam2", ""),
    (TRAIN, "--schedule"): ("fast",),
    (TRAIN, "--precision"): ("float16",),
    (TRAIN, "--sharding"): ("some",),
    (TRAIN, "--start"): ("0",),
    (TRAIN, "--activation"): ("swish",),
    (TRAIN, "--orderings"): ("none", "0 1 2"),
    (TRAIN, "--connectivities"): ("some",),
    (TRAIN, "--ordered"): ("maybe", "True False"),
    (TRAIN, "--evidence"): ("yes",),
    (TRAIN, "--no-evidence"): ("yes",),
    (PIXELS, "--predictor"): ("mean",),
    (PIXELS, "--ordered"): ("True",),
    (PIXELS, "--grey"): ("maybe",),
    (PIXELS, "--size"): ("6", "6 6 6", "0 6", "-1 6", "a b", ABSURD + " 6", HUGE + " 6"),
    (VIDEO, "--subscale"): ("2", "0 1 1", "3 1 1", HUGE + " 1 1"),
    (VIDEO, "--kernel"): ("2 2 2", "3", "0 1 1", "1000000001 1 1"),
    (VIDEO, "--blocks"): ("1", "1 1", "0 1 1"),
    (VIDEO, "--priming"): ("1", "-1 0", "0 9", "0 " + HUGE),
    (VIDEO, "--slices"): ("none",),
    (VIDEO, "--size"): ("0 0", "5"),
    ("prepare --data images --out new", "--split"): ("all",),
    ("plan made", "--shape"): ("", "0", "-3", "3 0", "a", "100000 100000 100000"),
    ("plan made", "--optimiser"): ("none",),
}

LINES = """
# no verb, no recipe, no such option
trian
'' 
--nothing
sample
sample run
sample --out new.npy
sample run extra --out new.npy
sample run --out new.npy --nothing
sample run --out new.npy --count
sample run --out
evaluate
evaluate run
evaluate --data rows.npy
evaluate run --data
complete run
complete run partial.npz
score run rows.npy
score run
compress run
compress run rows.npy
decompress run
decompress run rows.areg
info
info run table
mix
mix run
mix --out new
prepare
prepare --data images
prepare --out new
plan
plan mode
plan --devices 2
train
train mode
train --data data.npz
train made
train made --data data.npz
train made --run new
train made made --data data.npz --run new
train 'made ' --data data.npz --run new
train MADE2 --data data.npz --run new
train made --data data.npz --run new --hiden 3
train made --data data.npz --run new --layers 3
train pixelcnn --data images --run new --hidden 3
recipes nothing-like-it
recipes a b
--plugin
--plugin no.such.module info run
--plugin '' info run
--plugin .relative info run
--plugin no-such-module train made --data data.npz --run new

# what to write, and where
sample run --out new.png
sample run --out new.gif
sample run --out new.mkv
sample run --out new.mp4
sample table --out new.png
sample pixels --out new.gif
sample pixels --out new.mp4
complete run partial.npz --out new.png
complete run partial.npz --out new.npy --log-prob
complete run partial.npz --out new.png --log-prob
score run rows.npy --out rows.npy
score run rows.npy --out new.npz
score table table.csv --out table.csv
complete table partial.csv --out partial.csv
complete run partial.npz --out partial.npz
complete run partial.npz --out ./partial.npz
compress run rows.npy --out rows.npy
compress run rows.npy --out run/config.json
compress run rows.npy --out run/model.safetensors
decompress run rows.areg --out rows.areg
mix run run --out run
mix run run --out images
mix run run --out rows.npy
mix run run --out rows.npy/new
mix run bits --out new
mix run table --out new
mix run label --out new
mix run pixels --out new
prepare --data images --out images
prepare --data images --out run
prepare --data images --out rows.npy
prepare --data images --out rows.npy/new
train made --data data.npz --run images
train made --data data.npz --run run
train made --data data.npz --run rows.npy
train made --data data.npz --run rows.npy/new
train made --data data.npz --run /proc/new
train made --data data.npz --run ''

# the page
serve
serve nowhere
serve images
serve rows.npy
serve run nowhere

# what is known
complete run rows.npy --out new.npz
complete run data.npz --out new.npz
complete run wrong-known.npz --out new.npz
complete run number-known.npz --out new.npz
complete natural partial.npz --out new.npz
complete run partial.npz --out new.npz --known-rows 1
complete run partial.npz --out new.npz --known-frames 1
complete run partial.npz --out new.npz --known-frames 1 --known-rows 1
complete pixels images --out new.npz
complete pixels images --out new.npz --known-rows 7
complete pixels images --out new.npz --known-frames 1
complete pixels images --out new.npz --known-frames 1 --known-rows 1
complete video clips --out new.npz
complete video clips --out new.npz --known-frames 5
complete video clips --out new.npz --known-frames 2
complete video clips --out new.npz --known-rows 1
complete table table.csv:x --out new.csv

# conditions
sample run --out new.npy --given a
sample label --out new.npy
sample label --out new.npy --given c
sample label --out new.npy --given a b
sample label --out new.npy --given
sample vector --out new.npy
sample vector --out new.npy --given 1
sample vector --out new.npy --given 1 2 3
sample vector --out new.npy --given a b
sample vector --out new.npy --given nan 1
sample vector --out new.npy --given inf 1
sample vector --out new.npy --given 1e400 1
evaluate run --data rows.npy --given a
evaluate run --data rows.npy --condition labels
evaluate run --data rows.npy --condition folder
evaluate run --data data.npz --condition valid
evaluate table --data table.csv --condition size
evaluate pixels --data images --condition folder
evaluate pixels --data classes --condition folder
evaluate label --data rows.npy
evaluate label --data rows.npy --given c
evaluate label --data rows.npy --given a --condition c
evaluate label --data conditions.npz --condition c
evaluate vector --data rows.npy
evaluate vector --data rows.npy --condition c
evaluate vector --data conditions.npz --condition nothing
evaluate vector --data conditions.npz --condition short
evaluate vector --data rows.npy --given 1
evaluate vector --data rows.npy --given nan nan
score label rows.npy --out new.csv
score vector rows.npy --out new.csv --given 1
compress label rows.npy --out new.areg
compress vector rows.npy --out new.areg
compress vector rows.npy --out new.areg --given nan 1
complete label partial.npz --out new.npz
complete vector partial.npz --out new.npz --given 1
decompress label label.areg --out new.npy --given a
decompress vector vector.areg --out new.npy
decompress vector vector.areg --out new.npy --given 1
decompress vector vector.areg --out new.npy --given 2 2
decompress vector vector.areg --out new.npy --given nan 1
decompress run rows.areg --out new.npy --given a
train made --data table.csv --run new --condition price
train made --data lonely.csv --run new --condition colour
train made --data missing.csv --run new --condition size
train made --data data.npz --run new --condition c
train made --data rows.npy --run new --condition c
train made --data images --run new --condition labels
train made --data images --run new --condition folder
train made --data table.csv --run new --condition folder
train made --data conditions.npz --run new --condition short
train made --data conditions.npz --run new --condition x

# of another model
decompress run label.areg --out new.npy
decompress bits rows.areg --out new.npy
decompress pixels rows.areg --out new.npy
decompress run cut.areg --out new.npy
decompress rows.areg --out new.npy
decompress run rows.areg rows.areg --out new.npy
decompress rows.npy --out new.npy
decompress run void.areg --salvage --out new.npy
decompress run stub.areg --salvage --out new.npy
decompress run stub.areg --out new.npy
decompress run void.areg --out new.npy
decompress run flipped.areg --out new.npy
decompress run rows.npy --out new.npy
decompress run run --out new.npy
decompress run nowhere.areg --out new.npy
decompress run rows.areg --out new.gif
decompress run rows.areg --out new.png
evaluate table --data rows.npy
evaluate pixels --data rows.npy
evaluate pixels --data clips
evaluate pixels --data table.csv
evaluate pixels --data broken
evaluate pixels --data hollow
evaluate pixels --data images.png
evaluate video --data images
evaluate video --data rows.npy
evaluate video --data film.mp4
evaluate bits --data rows.npy
score pixels rows.npy --out new.csv
compress video images --out new.areg

# tables
train table
train table --data people.csv
train table --run new
train table --data nowhere.csv --run new
train table --data rows.npy --run new
train table --data images --run new
train table --data void.csv --run new
train table --data header.csv --run new
train table --data ragged.csv --run new
train table --data twice.csv --run new
train table --data latin.csv --run new
train table --data binary.csv --run new
train table --data people.csv --run images
train table --data people.csv --run run
train table --data people.csv --run new --kind age
train table --data people.csv --run new --kind age=colour
train table --data people.csv --run new --kind height=number
train table --data people.csv --run new --kind sex=number
train table --data people.csv --run new --absent height
train table --data people.csv --run new --schema nowhere.json
train table --data people.csv --run new --schema config.json
train table --data people.csv --run new --schema no-schema.json
train table --data people.csv --run new --schema rows.npy
train table --data people.csv --run new --valid nowhere.csv
train table --data people.csv --run new --valid table.csv
train table --data people.csv --run new --lr 0
train table --data people.csv --run new --device gpu
train table --data people.csv --run new --max-epochs 0
train table --data people.csv --run new --hidden 8
impute people
impute people gaps.csv
impute people --out new.csv
impute nowhere gaps.csv --out new.csv
impute run gaps.csv --out new.csv
impute half-people gaps.csv --out new.csv
impute people nowhere.csv --out new.csv
impute people table.csv --out new.csv
impute people rows.npy --out new.csv
impute people void.csv --out new.csv
impute people gaps.csv --out gaps.csv
impute people gaps.csv --out nowhere/new.csv
impute people gaps.csv --out new.csv --marks gaps.csv
impute people gaps.csv --out new.csv --marks new.csv
impute people gaps.csv --out new.csv --marks nowhere/new.csv
impute people gaps.csv --out new.csv --how guess
impute people gaps.csv --out new.csv --seed many
impute people gaps.csv --out new.png
query people
query run "age > 3"
query nowhere "age > 3"
query half-people "age > 3"
query people ""
query people "age >"
query people "height > 3"
query people "age > old"
query people "age > 3 and"
query people "(age > 3"
query people "__import__('os').system('true')"
query people "age > 3" --given
query people "age > 3" --given sex
query people "age > 3" --given height=3
query people "age > 3" --given age=old
query people age --given age=31
query people "age > 3" --seed x
sample people --out new.npy
sample people --out new.png
sample people --out new.csv --count 0
sample people --out new.csv --given sex
train table --data people.csv --run new --schema people/schema.json --kind age=number
sample people --out new.csv --given height=1
sample people --out new.csv --temperature 2
sample people --out new.csv --device cpu
sample people --out new.csv --rate 5
sample people --out new.csv --count 1000000000000000
score people rows.npy --out new.csv
score people table.csv --out new.csv
score people nowhere.csv --out new.csv
score people people.csv --out new.csv --stride 2
score people people.csv --out new.csv --device cpu
score people people.csv --out new.csv --given sex=m
score people people.csv --out new.csv --condition sex
score people people.csv --out people.csv
score people people.csv --out new.npz
complete people gaps.csv --out new.csv
compress people rows.npy --out new.areg
decompress people rows.areg --out new.csv
mix people people --out new
runs nowhere
runs images
runs rows.npy
runs run run
info half-people

# options without an effect
sample run --out new.npy --rate 5
sample run --out new.csv --rate 10
sample pixels --out new.png --rate 5
sample video --out new.npz --rate 5
sample video --out new.png --rate 5
complete run partial.npz --out new.npz --rate 5
complete video clips --known-frames 1 --out new.npz --rate 5
complete run partial.npz --out new.npz --stride 2
complete table partial.csv --out new.csv --stride 2
complete pixels images --known-rows 1 --out new.npz --stride 2
decompress run rows.areg --out new.npy --rate 5
evaluate run --data rows.npy --stride 2
evaluate pixels --data images --stride 2
evaluate run --data rows.npy --orderings 4
evaluate pixels --data images --orderings 4
score run rows.npy --out new.csv --stride 2
compress run rows.npy --out new.areg --stride 2
compress pixels images --out new.areg --stride 2
plan made --batch 4 --batch-size 5
prepare --data data.npz --out new --split train --valid rows.npy
prepare --data data.npz --out new --split train --holdout 0.2
prepare --data data.npz --out new --split train --seed 2
prepare --data rows.npy --out new --valid rows.npy --holdout 0.2
prepare --data data.npz --out new --holdout 0.2
prepare --data images --out new --cache hollow
prepare --data rows.npy --out new --frames 2
train made --data data.npz --run new --holdout 0.2
train made --data rows.npy --valid rows.npy --run new --holdout 0.2
train made --data data.npz --run new --momentum 0.5
train made --data data.npz --run new --decay 0.5
train made --data data.npz --run new --optimiser sgd --eps 0.5
train made --data data.npz --run new --mixture 9
train made --data data.npz --run new --frames 2
train made --data data.npz --run new --stride 2
train made --data data.npz --run new --step 2
train made --data data.npz --run new --cache hollow
train made --data data.npz --run new --grey True
train made --data data.npz --run new --labels-from table.csv
train made --data data.npz --run new --max-categories 9
train made --data images --run new --stride 2
train made --data table.csv --run new --size 1 2
train made --data table.csv --run new --levels 4 --max-categories 9
train made --data table.csv --run new --levels 4 --labels-from table.csv
train made --data table.csv --run new --grey True
train pixelcnn --data images --run new --no-ordered --mixture 9
train pixelcnn --data images --run new --no-ordered --predictor none

# data to train on
train made --data rows.npy --run new --valid wide.npy
train made --data rows.npy --run new --valid nowhere.npy
train made --data rows.npy --run new --valid table.csv
train made --data rows.npy --run new --valid images
train made --data table.csv --run new --valid unseen.csv --labels-from nowhere.csv
train made --data table.csv --run new --valid more.csv
train made --data table.csv --run new --labels-from others.csv
train made --data many.csv --run new
train made --data table.csv --run new --max-categories 1
train made --data lonely.csv --run new --levels 2
train made --data images --run new --levels 300
train made --data images --run new --levels 1
train made --data images --run new --levels 2 3
train made --data data.npz --run new --levels 2
train made --data data.npz --run new --levels 3 3
train made --data data.npz --run new --size 6 6
train made --data mixed --run new
train made --data broken --run new
train made --data hollow --run new
train made --data clips --run new --frames 99
train made --data missing.csv --run new
train pixelcnn --data rows.npy --run new
train pixelcnn --data table.csv --run new
train pixelcnn --data clips --run new
train pixelcnn --data images --run new --scales 3 2
train pixelcnn --data images --run new --scales 64
train video-small --data images --run new
train video-small --data rows.npy --run new
train video-small --data film.mp4 --run new
train video-small --data clips --run new --frames 99
train made --data /dev/null --run new
train made --data /proc --run new
prepare --data hollow --out new
prepare --data broken --out new
prepare --data nowhere --out new
prepare --data /dev/null --out new
prepare --data images --out new --valid nowhere
prepare --data images --out new --levels 0
"""


def _lines() -> list[str]:
    return [line for line in LINES.splitlines() if line and not line.startswith("#")]


def _whole() -> list[str]:
    """Each option of a whole number with what is none, with too little, and with too much."""
    found = []
    for (line, option), least in WHOLE.items():
        wrong = ["", "many", "1.5", "nan", "1e8", HUGE, f"-{HUGE}"]
        if option in ("--orderings", "--connectivities"):
            wrong[1] = "few"
        if option == "--scales":  # which may be none
            wrong.remove("")
        if least is not None:
            wrong += [str(least - 1), "-1", f"-{ABSURD}"]
        if option not in ANY_SIZE:
            wrong.append(ABSURD)
        found += [f"{line} {option} {value}" for value in dict.fromkeys(wrong)]
    return found


def _numbers() -> list[str]:
    """Each option of a number with what is none, and with what is outside its range."""
    return [
        f"{line} {option} {value}"
        for (line, option), excluded in NUMBERS.items()
        for value in ("", "much", "nan", "inf", "-inf", "1e400", *excluded)
    ]


COMMANDS = [
    *_lines(),
    *_whole(),
    *_numbers(),
    *(f"{line} {option} {word}" for (line, option), words in WORDS.items() for word in words),
    *(line.format(run) for line, run in product(WITH_RUN.values(), BAD_RUNS)),
    *(line.format(data) for line, data in product(WITH_DATA.values(), BAD_ARRAYS)),
    *(
        line.replace(" run ", " table ").format(data)
        for line, data in product(WITH_DATA.values(), BAD_TABLES)
    ),
    *(f"train made --data {data} --run new" for data in BAD_TABLES if data not in GOOD_ALONE),
    *(
        line.format(out)
        for (verb, line), out in product(WITH_OUT.items(), BAD_OUTS)
        if verb != "compress" or not out.startswith("new")  # which takes any name
    ),
    *(f"{line} --device {device}" for line, device in product(WITH_DEVICE.values(), BAD_DEVICES)),
]

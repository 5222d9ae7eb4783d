"""Several processes do what one does: the same losses, scores and checkpoints."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from distributed_process import command, scores, train, verbs
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from autoregress.cli import main
from autoregress.cli.train import Train
from autoregress.processes import Processes
from autoregress.storage import load
from autoregress.training import Training

SLURM = Path(__file__).parent.parent / "demo" / "slurm" / "train.sbatch"
JOB = Path(__file__).with_name("distributed_process.py")
# Nothing is bound but to this machine, and every process has one thread.
ENVIRONMENT = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}


@given(st.integers(1, 50), st.integers(1, 9))
def test_shares_are_equal_and_every_example_counts_once(count, size):
    shares = [Processes(rank, size).share(count) for rank in range(size)]
    assert {len(places) for places, _ in shares} == {-(-count // size)}
    assert torch.cat([places[:counted] for places, counted in shares]).tolist() == [*range(count)]
    assert all(0 <= place < count for places, _ in shares for place in places.tolist())


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("family", ["made", "video", "pixels", "mixture"])
def test_what_is_random_does_not_depend_on_the_parts_of_an_update(family):
    whole, parts = (train(family, max_epochs=1, accumulate=n) for n in (1, 4))
    assert parts == pytest.approx(whole, rel=1e-11)


def test_the_cluster_script_starts_a_run_on_every_node(tmp_path, monkeypatch):
    commands = {
        "scontrol": 'echo "$@" >> asked; echo one; echo two',
        "srun": 'printf "%s\\n" "$@" > started; [ ! -e late ] || '
        "{ kill -USR1 $PPID; exec sleep 60; }; exit 3",
    }
    for name, does in commands.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{does}\n")
        (tmp_path / name).chmod(0o700)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    given = {"NNODES": "2", "GPUS_ON_NODE": "8", "JOB_ID": "7", "JOB_NODELIST": "two-of-them"}
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    environment |= {f"SLURM_{name}": value for name, value in given.items()}

    def submit() -> int:
        command = ["bash", str(SLURM)]
        return subprocess.run(command, cwd=tmp_path, env=environment, timeout=30).returncode

    assert submit() == 3
    assert (tmp_path / "asked").read_text() == "show hostnames two-of-them\n"
    launcher, arguments = (tmp_path / "started").read_text().split("autoregress\n")
    assert launcher.split()[-1] == "--"
    assert "one:29500" in launcher.split()

    started: list[Training] = []
    monkeypatch.setattr(Train, "__call__", lambda self: started.append(self.training))
    main(arguments.split())
    assert (started[0].sharding, started[0].device) == ("full", "cuda")

    (tmp_path / "late").touch()
    submit()
    assert "requeue 7" in (tmp_path / "asked").read_text()


# ------------------------------------------------------------------------ several processes


def start(size: int, folder: Path) -> None:
    """Runs the job in so many processes, as torchrun would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", str(JOB), str(folder)],
            env={**os.environ, **ENVIRONMENT, **{k: str(v) for k, v in settings.items()},
                 "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip
    said = [child.communicate(timeout=400)[0] for child in children]
    assert [child.returncode for child in children] == [0] * size, said


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which two processes, and after them four, have done all that they can."""
    folder = tmp_path_factory.mktemp("job")
    x = np.random.default_rng(0).integers(0, 2, (50, 6), dtype=np.uint8)
    np.savez(folder / "data.npz", train=x[:33], valid=x[33:])
    np.savez(folder / "many.npz", test=np.random.default_rng(1).integers(0, 3, (2100, 2, 3)))
    cells = [f"{n % 7},{'' if n % 5 == 1 else 'ab'[n % 2]},{n * n % 83 / 4}" for n in range(61)]
    (folder / "people.csv").write_text("\n".join(["size,kind,cost", *cells]) + "\n")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        train("made", folder / "one", max_epochs=1)
        start(2, folder)
        shutil.copytree(folder / "two", folder / "two again")
        start(4, folder)
        yield folder
    finally:
        torch.set_default_dtype(before)


def found(job: Path, size: int) -> dict[str, Any]:
    """What all processes found, each for itself."""
    every = [json.loads((job / f"{size}-{rank}.json").read_text()) for rank in range(size)]
    said = [one.pop("said", "") for one in every]
    assert all(one == every[0] for one in every)
    return {**every[0], "said": said}


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("family", ["made", "video", "pixels", "mixture", "partly"])
def test_the_losses_are_the_same(job, size, family):
    alone = train(family, max_epochs=1)
    curves = [v for k, v in found(job, size).items() if k.startswith(f"{family}, sharding")]
    assert curves
    for curve in curves:
        assert curve == pytest.approx(alone, rel=1e-9)


@pytest.mark.slow
def test_processes_that_are_not_told_of_each_other_are_alone(job):
    assert found(job, 2)["each for itself"] == train("made", max_epochs=1)
    for rank in range(2):
        assert [line["epoch"] for line in log(job / f"alone {rank}")] == [1]
        assert not (job / f"alone {rank}" / "logs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_every_example_is_measured_once(job, size):
    for one, other in zip(found(job, size)["scores"], scores(4, 36), strict=True):
        assert one == pytest.approx(other, rel=1e-9, nan_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_of_the_same_batches_the_score_is_the_same_to_the_last_bit(job, size):
    ours, theirs = found(job, size)["same batches"][3], scores(12)[3]  # of 36 examples
    assert ours == theirs


@pytest.mark.slow
def test_another_number_of_processes_goes_on_with_a_run(job):
    alone = pytest.approx(train("made", max_epochs=2), rel=1e-9)
    assert found(job, 2)["1 to 2, sharded"] == alone
    assert found(job, 2)["saved aside, sharding none"] == alone
    assert found(job, 2)["saved aside, sharding full"] == alone
    assert found(job, 4)["2, sharded, to 4"] == alone
    assert train("made", job / "two again", max_epochs=2) == alone


@pytest.mark.slow
def test_half_precision_is_that_of_one_process_roughly(job):
    torch.set_default_dtype(torch.float32)
    alone = train("made", max_epochs=1)
    torch.set_default_dtype(torch.float64)
    for sharding in ("none", "full"):
        rough = found(job, 2)[f"bfloat16, sharding {sharding}"]
        assert rough == pytest.approx(alone, rel=1e-2)
        assert rough != pytest.approx(alone, rel=1e-9)


@pytest.mark.slow
def test_the_first_process_alone_speaks(job):
    first, other = found(job, 2)["said"]
    assert "best after epoch" in first
    assert other == ""
    assert (job / "whole" / "logs" / "rank-1.log").read_text().endswith(" from step 0\n")
    assert len(list((job / "whole" / "logs").iterdir())) == 1


@pytest.mark.slow
def test_rows_are_scored_and_filled_in_by_all_processes_as_by_one(job):
    verbs(job, "one")
    files = sorted(path.name for path in job.glob("two *.csv"))
    assert len(files) == 4
    for name in files:
        content = (job / name).read_bytes()
        assert content == (job / name.replace("two", "one")).read_bytes()
        assert content.count(b"\n") in (62, 2101, 1 + 2 * 61)


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_the_same_command_resumes_it(job):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    torchrun += ["--nproc-per-node", "2", "-m", "--", "autoregress", *command(job, "killed")]
    torchrun += ["--async-save"]
    options: dict[str, Any] = {"env": {**os.environ, **ENVIRONMENT}, "text": True}
    said = killed(torchrun, job / "killed", **options)
    if "forcefully exiting" in said:
        # Gloo waits for ever for a send whose receiver dies just as it is written, about once in a
        # hundred times; torchrun then kills the sender.
        shutil.rmtree(job / "killed")
        said = killed(torchrun, job / "killed", **options)
    # The other one notices; or torchrun has noticed before, and interrupts it.
    sentence = r"autoregress: (another process of the run has ended|interrupted); the same command"
    assert len(re.findall(sentence, said)) == 1, said
    assert "RuntimeError" not in said
    assert log(job / "killed") != log(job / "whole")
    resumed = subprocess.run(torchrun, capture_output=True, timeout=200, check=True, **options)
    assert resumed.stdout.count("best after epoch") == 1
    assert log(job / "killed") == log(job / "whole")
    weights = [load(job / run).state_dict() for run in ("killed", "whole")]
    assert all(map(torch.equal, weights[0].values(), weights[1].values()))
    states = [tensors(job / run) for run in ("killed", "whole")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def killed(torchrun: list[str], run: Path, **options: Any) -> str:
    """What a run says on standard error, whose second process is killed after the first epoch."""
    with subprocess.Popen(torchrun, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as p:
        while not (run / "model.safetensors").exists():
            assert p.poll() is None
            time.sleep(0.02)
        os.kill(second_process(p.pid), signal.SIGKILL)
        _, said = p.communicate(timeout=200)
    assert p.returncode != 0
    return said


def second_process(torchrun: int) -> int:
    children = subprocess.run(["pgrep", "-P", str(torchrun)], capture_output=True, check=True)
    return int(children.stdout.split()[1])


def log(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "second" not in k} for line in lines]


def tensors(run: Path) -> dict[str, Tensor]:
    """All of the last checkpoint, of one shard after another."""
    last = json.loads((run / "last.json").read_text())
    files = [run / last["folder"] / name for name in last["files"]]
    return {name: tensor for file in files for name, tensor in load_file(file).items()}

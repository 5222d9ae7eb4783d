"""Where a run stands, and ``last.pt``, which lets it go on from there to the same last bit."""

from __future__ import annotations

import hashlib
import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from autoregress.evaluation import Score
from autoregress.model import AutoregressiveModel
from autoregress.storage import unreadable, write_file


@dataclass
class Position:
    """What a run has done so far, beside the weights.

    Attributes:
        step: updates.
        epoch: whole epochs.
        batch: updates of the epoch under way.
        nats: sum of the objective over the examples of that epoch.
        seconds: training time of that epoch.
        best_epoch: the epoch with the best weights, counted from 1; 0 before there is one.
        best: what the validation examples said of them, if there are any.
        history: the lines of the log, one an epoch.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    nats: float = 0.0
    seconds: float = 0.0
    best_epoch: int = 0
    best: Score | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def at_best(self) -> bool:
        """Whether the weights are those of the best epoch."""
        return self.batch == 0 and self.best_epoch == self.epoch > 0

    def end_epoch(self, record: dict[str, Any], score: Score | None) -> None:
        """Counts the epoch under way as done; without a score it is the best so far."""
        self.epoch += 1
        self.batch, self.nats, self.seconds = 0, 0.0, 0.0
        self.history.append(record)
        if score is None or self.best is None or score.nats < self.best.nats:
            self.best_epoch, self.best = self.epoch, score


@dataclass
class State:
    """Everything that the rest of a run depends on, other than its data and options."""

    model: AutoregressiveModel
    average: AveragedModel | None
    optimiser: torch.optim.Optimizer
    position: Position = field(default_factory=Position)

    @property
    def measured(self) -> AutoregressiveModel:
        """The model with the weights that are measured and kept: the average, if there is one."""
        measured = self.model if self.average is None else self.average.module
        assert isinstance(measured, AutoregressiveModel)
        return measured

    def weights(self) -> dict[str, Tensor]:
        """A copy, on the CPU, of the weights that are measured and kept."""
        state = self.measured.state_dict()
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}

    def require_finite(self) -> None:
        """Raises FloatingPointError if a weight is not a finite number."""
        for name, weight in self.model.named_parameters():
            if not weight.isfinite().all():
                raise FloatingPointError(f"{name} is not finite after step {self.position.step}")

    def write(self, path: Path) -> None:
        """Writes ``last.pt``; raises ValueError if it cannot be written.

        torch's own reader looks at no checksum. So the SHA-256 of the archive goes into the
        comment that a zip file may end with, where it is in nobody's way.
        """
        buffer = io.BytesIO()
        torch.save(
            {
                "model": self.model.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "position": asdict(self.position),
            },
            buffer,
        )
        comment = _comment(buffer.getbuffer())
        buffer.seek(-len(NO_COMMENT), io.SEEK_END)
        buffer.write(comment)
        write_file(path, buffer.getbuffer())

    def read(self, path: Path) -> None:
        """Takes over what :meth:`write` wrote.

        Raises:
            ValueError: the file is damaged.
        """
        try:
            content = bytearray(path.read_bytes())
        except OSError as error:
            raise unreadable(path, error) from error
        length = len(_comment(content))
        comment = bytes(content[-length:])
        content[-length:] = NO_COMMENT
        if comment != _comment(content):
            raise ValueError(
                f"{path} is damaged, so that this run cannot go on; its best weights, if any, are "
                "still in model.safetensors. Delete the file to train anew"
            )
        saved = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        self.model.load_state_dict(saved["model"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.position = Position(**saved["position"])
        if self.position.best is not None:
            self.position.best = Score(**saved["position"]["best"])


# How a zip file without a comment ends: with the length of none.
NO_COMMENT = b"\0\0"


def _comment(archive: bytearray | memoryview) -> bytes:
    """The end of a zip file with a comment in place of NO_COMMENT: its length, and a digest."""
    digest = hashlib.sha256(archive).digest()
    return len(digest).to_bytes(len(NO_COMMENT), "little") + digest

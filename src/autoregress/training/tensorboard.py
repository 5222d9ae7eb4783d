"""The records of a run as TensorBoard curves: https://www.tensorflow.org/tensorboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Writes each number of a run's records as a curve over its updates.

    ::

        with TensorBoard("runs/mine/tensorboard") as board:
            ar.fit(model, train, run="runs/mine", on_epoch=board.epoch, on_update=board.update)

    A resumed run continues in the same folder; records of later updates, written before the
    interruption, are hidden.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ValueError(
                "TensorBoard is not installed: pip install 'autoregress[tensorboard]'"
            ) from error
        self._open = SummaryWriter
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def update(self, record: dict[str, Any]) -> None:
        """Writes the record of an update: for ``on_update`` of :func:`autoregress.fit`."""
        self._write("update", record)

    def epoch(self, record: dict[str, Any]) -> None:
        """Writes the record of an epoch: for ``on_epoch``."""
        self._write("epoch", record)
        if self._writer is not None:
            self._writer.flush()

    def _write(self, kind: str, record: dict[str, Any]) -> None:
        if self._writer is None:
            self._writer = self._open(self._folder, purge_step=record["step"])
        for name, value in record.items():
            if name != "step" and value is not None:
                self._writer.add_scalar(f"{kind}/{name}", value, record["step"])

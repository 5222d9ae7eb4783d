"""A model in a folder: ``config.json`` describes it, ``model.safetensors`` holds its weights.

Nothing is ever unpickled, and no file names a class to import: it names the kind of model, whose
class :mod:`autoregress.families` looks up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict
from uuid import uuid4

import safetensors
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

import autoregress.mixture
import autoregress.networks  # noqa: F401  # registers the package's own families
from autoregress import configs
from autoregress.brief import brief
from autoregress.bundled import folder_of, missing
from autoregress.card import CARD, Card
from autoregress.disk import (
    make_folder,
    open_file,
    raw_bytes,
    read_json,
    write_file,
    write_json,
)
from autoregress.families import FAMILIES, find_family
from autoregress.kinds import as_kind, hints
from autoregress.model import AutoregressiveModel
from autoregress.symbols import Columns
from autoregress.version import __version__

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
# The folder, in that of a run, of weights that something else needs, however the run goes on.
KEPT = "weights"
# The format of the weights file; any other is refused.
FORMAT = "1"
# In a model of one of the package's own families no size is above the number of its weights, except
# small ones, and those of the event. Others are refused before anything is built of them.
SMALL, LARGE = 2**10, 2**24


class Described(TypedDict):
    """The content of ``config.json``; that of a run has its options, and further entries."""

    model: dict[str, Any]
    training: dict[str, Any] | None


# The settings of models beside the options of their families.
SETTINGS: dict[str, Any] = {
    "event_shape": int | tuple[int, ...],
    "symbols": int | tuple[int, ...],
    "context": int,
    "labels": tuple[str, ...] | None,
    "columns": Columns | None,
    "models": list[dict[str, Any]],
}


def save(model: AutoregressiveModel, folder: str | Path, *, hub: str | None = None) -> None:
    """Writes the model into a folder, which is created if need be; see :func:`load`.

    Each file is written completely or not at all, and the weights record their model, so that a
    folder in which only one of the two was replaced is refused.

    Args:
        hub: owner/name on the Hugging Face Hub, to which the folder's files are then uploaded, with
            a card (README.md), which is written if the folder has none.

    Raises:
        ValueError: the folder cannot be written, the model's family is not known, a weight is
            NaN or infinite, or the Hub refuses or cannot be reached.
        ImportError: huggingface_hub is not installed.

    Example:
        >>> ar.save(ar.MADE(5, hidden=(16,)), "saved")
        >>> ar.load("saved").config.hidden
        (16,)
    """
    config = model_config(model)
    model.require_finite()
    folder = Path(folder)
    make_folder(folder)
    write_weights(folder / WEIGHTS, model.state_dict(), config)
    write_json(folder / CONFIG, {"autoregress": __version__, "model": config})
    if hub is not None:
        share(folder, hub, Card(hub, config, parameters(model), f'model = ar.load("hub:{hub}")'))


def share(folder: Path, hub: str, card: Card) -> None:
    """Uploads the files of a saved model to the Hub, with this card if it has none."""
    from autoregress.hub import upload

    if not (folder / CARD).exists():
        card.write(folder)
    upload(folder, hub)


def parameters(model: AutoregressiveModel) -> int:
    """The number of parameters of a model."""
    return sum(p.numel() for p in model.parameters())


def load(folder: str | Path, *, map_location: str | torch.device = "cpu") -> AutoregressiveModel:
    """Loads a model from a folder written by :func:`save` or a training run (its best model).

    Args:
        folder: the folder; or the name of a bundled model, "digits" (a :class:`MADE` of
            scikit-learn's digits over any ordering) or "bouncing" (a :class:`VideoTransformer`),
            unless there is a folder of that name; or "hub:owner/name" on the Hugging Face Hub.
        map_location: the device to load it to, wherever it was when it was saved.

    Returns:
        The model in eval mode, in the precision in which it was saved.

    Raises:
        ValueError: a file is missing, damaged or belongs to another model; the message names it.
            Or the model is not on the Hub, or the Hub cannot be reached.
        ImportError: huggingface_hub is not installed.

    Example:
        >>> model = ar.load("digits")
        >>> model.sample(2).shape
        torch.Size([2, 1, 8, 8])
    """
    folder = folder_of(folder)
    config = read_config(folder)["model"]
    return _loaded(folder / WEIGHTS, config, folder / CONFIG, map_location)


def _loaded(
    weights: Path, config: Any, described: Path, map_location: str | torch.device
) -> AutoregressiveModel:
    """The model of a weights file and of a configuration, which ``described`` holds."""
    state = read_weights(weights, config)
    model = build_model(config, sum(map(torch.numel, state.values())), described)
    set_weights(model, state, weights)
    return model.to(map_location).eval()


def is_run(folder: str | Path) -> bool:
    """Whether a folder is that of a training run, which may replace its weights."""
    return read_config(Path(folder))["training"] is not None


def keep(folder: str | Path, model: AutoregressiveModel, name: str) -> None:
    """Keeps the weights of a model beside those of its run, whatever further training does.

    They are another name of the run's own file, as long as that holds the same weights.

    Args:
        folder: the run folder that the model was loaded from.
        name: the name under which :func:`load_kept` finds them.

    Raises:
        ValueError: they cannot be written.
    """
    path = Path(folder) / KEPT / f"{name}.safetensors"
    if path.exists():
        return
    make_folder(path.parent)
    state = model.state_dict()
    linked = path.with_name(f".{name}.{uuid4().hex}.tmp")
    try:
        linked.hardlink_to(Path(folder) / WEIGHTS)
        if _metadata(linked).get("sha256") == digest(state):
            linked.rename(path)
            return
    except OSError:  # a file system without such links
        pass
    finally:
        linked.unlink(missing_ok=True)
    write_weights(path, state, model_config(model))


def load_kept(
    folder: str | Path, name: str, *, map_location: str | torch.device = "cpu"
) -> AutoregressiveModel | None:
    """Loads a model that :func:`keep` kept; None if there is none of that name.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder_of(folder) / KEPT / f"{name}.safetensors"
    if not path.exists():
        return None
    try:
        config = json.loads(_metadata(path).get("model", ""))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: it does not describe a model") from error
    return _loaded(path, config, path, map_location)


# Configuration


def model_config(model: AutoregressiveModel) -> dict[str, Any]:
    """The kind and all settings of a model, as they come back from JSON.

    Raises:
        ValueError: the model's family is not known.
    """
    if FAMILIES.get(type(model).__name__) is not type(model):
        raise ValueError(
            f"a {type(model).__name__} cannot be written to a folder before its class is "
            "registered with @ar.family"
        )

    def plain(argument: object) -> dict[str, Any]:
        return (
            model_config(argument) if isinstance(argument, AutoregressiveModel) else vars(argument)
        )

    config = {"kind": type(model).__name__, **model.arguments}
    return json.loads(json.dumps(config, default=plain))


def build_model(config: dict[str, Any], numbers: int, path: Path | str) -> AutoregressiveModel:
    """A model as described, with fresh weights, which must be that number of numbers."""
    try:
        # The random weights of a new model, to be overwritten, must not advance the generator.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            return _model(config, numbers)
    except Exception as error:  # whatever a family says to settings that it cannot have
        raise ValueError(f"{path} does not describe a model: {_reason(error)}") from error


def _model(config: dict[str, Any], numbers: int) -> AutoregressiveModel:
    options = dict(config)
    family = find_family(as_kind(options.pop("kind", None), str, "kind"))
    kinds = {**SETTINGS, **hints(family.Config)}
    options = {name: as_kind(value, kinds.get(name, Any), name) for name, value in options.items()}
    ours = family.Config.__module__ == configs.__name__
    for name, value in options.items() if ours else ():
        most = LARGE if name in ("event_shape", "symbols") else SMALL
        if max(_counts(value), default=0) > max(numbers, most):
            raise ValueError(
                f"{name} is {brief(value)}, too large for the {numbers:,} numbers in {WEIGHTS}"
            )
    if "models" in options:
        options["models"] = [_model(each, numbers) for each in options["models"]]
    return family(**options)


def _counts(value: Any) -> Iterator[int]:
    """The whole numbers in a setting."""
    if isinstance(value, tuple):
        for each in value:
            yield from _counts(each)
    elif type(value) is int:
        yield value


# Weights


def write_weights(path: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Writes a state dict as safetensors, with its digest and the configuration of its model.

    Raises:
        ValueError: the file cannot be written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    metadata = {"format": FORMAT, "sha256": digest(state), "model": json.dumps(config)}
    write_file(path, to_bytes(state, metadata))


def read_weights(path: Path, config: Any) -> dict[str, Tensor]:
    """Reads what :func:`write_weights` wrote, and checks the digest and the model.

    Raises:
        ValueError: the file is missing, damaged, of another format or of another model than
            ``config``.
    """
    with _opened(path) as file:
        metadata = file.metadata() or {}
        # Cloned, as they are views of the file, which may change.
        state = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path} is not a weights file of this version of autoregress: its format is "
            f"{brief(metadata.get('format', 'not given'))}, not {FORMAT!r}"
        )
    if metadata.get("sha256") != digest(state):
        raise ValueError(f"{path} is damaged: its content is not what was written")
    if metadata.get("model") != json.dumps(config):
        raise ValueError(f"{path} holds the weights of another model than {CONFIG} describes")
    return state


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open weights file; errors in reading it become a ValueError that names it."""
    open_file(path).close()  # raises the errors of files
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged: {_reason(error)}") from error


def _metadata(path: Path) -> dict[str, str]:
    with _opened(path) as file:
        return file.metadata() or {}


def set_weights(model: AutoregressiveModel, state: Mapping[str, Tensor], path: Path | str) -> None:
    """Replaces the model's state by a state dict that was read from ``path``.

    Raises:
        ValueError: names, shapes or dtypes differ from the model's, or a weight is NaN or
            infinite.
    """
    own = model.state_dict()
    if missing := sorted(own.keys() - state.keys()):
        raise ValueError(f"{path} lacks {_listed(missing)}")
    if unexpected := sorted(state.keys() - own.keys()):
        raise ValueError(f"{path} holds {_listed(unexpected)}, which the model does not have")
    for name, tensor in state.items():
        both_float = tensor.is_floating_point() and own[name].is_floating_point()
        if not both_float and tensor.dtype != own[name].dtype:
            raise ValueError(
                f"{path}: {name} has dtype {tensor.dtype}, but {own[name].dtype} in the model"
            )
    try:
        model.load_state_dict(state, assign=True)
    except Exception as error:  # torch's of shapes that differ, a family's of what they hold
        raise ValueError(f"{path} does not fit the model: {_reason(error)}") from error
    try:
        model.require_finite()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _reason(error: Exception, most: int = 300) -> str:
    """The first line of a message, below torch's own heading, or as much of it as is short."""
    lines = str(error).splitlines() or [type(error).__name__]
    line = lines[isinstance(error, RuntimeError) and len(lines) > 1].strip()
    return line if len(line) <= most else f"{line[:most]}…"


def digest(state: Mapping[str, Tensor]) -> str:
    """A hash of the content of a state dict."""
    sums = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        sums.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        sums.update(raw_bytes(tensor))
    return sums.hexdigest()


def read_config(folder: Path) -> Described:
    """The content of ``config.json`` in a folder, or of a bundled model.

    Raises:
        ValueError: there is no such folder, or the file is missing, damaged or not readable.
    """
    folder = folder_of(folder)
    if not folder.is_dir():
        raise ValueError(missing(folder))
    config = folder / CONFIG
    if not config.exists():
        raise ValueError(
            f"{folder} is neither a run folder nor a saved model: there is no file {config}"
        )
    return read_json(config, Described)

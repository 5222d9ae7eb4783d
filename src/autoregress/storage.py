"""A model in a folder: ``config.json`` says what it is, ``model.safetensors`` holds its weights.

Nothing is ever unpickled, and no file names a class to import: it names the kind of model, and what
class that is, :mod:`autoregress.families` knows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

import autoregress.mixture
import autoregress.networks  # noqa: F401  # so that the package's own families are known
from autoregress.disk import (
    make_folder,
    raw_bytes,
    read_json,
    unreadable,
    write_file,
    write_json,
)
from autoregress.families import FAMILIES, find_family
from autoregress.model import AutoregressiveModel
from autoregress.symbols import Columns
from autoregress.version import __version__

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
# Of the weights file; another number is refused.
FORMAT = "1"


def save(model: AutoregressiveModel, folder: str | Path) -> None:
    """Writes the model into a folder, which is made if need be; see :func:`load`.

    Either file is there in full or not at all, and weights know the model that they are of, so
    that a folder in which only one of the two was replaced is refused.

    Raises:
        ValueError: the folder cannot be written, or the model is of no known family.
    """
    config = model_config(model)
    folder = Path(folder)
    make_folder(folder)
    write_weights(folder / WEIGHTS, model.state_dict(), config)
    write_json(folder / CONFIG, {"autoregress": __version__, "model": config})


def load(folder: str | Path, *, map_location: str | torch.device = "cpu") -> AutoregressiveModel:
    """The model of a folder that :func:`save` or a training run wrote; of a run the best one.

    Args:
        map_location: the device that it comes to be on, wherever it was when it was saved.

    Returns:
        The model in eval mode, in the precision in which it was saved.

    Raises:
        ValueError: what is missing, damaged or does not belong together, and in which file.
    """
    folder = Path(folder)
    config = read_config(folder).get("model")
    state = read_weights(folder / WEIGHTS, config)
    model = _build(config, folder / CONFIG)
    set_weights(model, state, folder / WEIGHTS)
    return model.to(map_location).eval()


# What a model is


def model_config(model: AutoregressiveModel) -> dict[str, Any]:
    """The kind and all settings of a model, as JSON gives them back.

    Raises:
        ValueError: the model is of no known family.
    """
    if FAMILIES.get(type(model).__name__) is not type(model):
        raise ValueError(
            f"a {type(model).__name__} cannot be written to a folder before its class is made "
            "known by @ar.family"
        )

    def plain(argument: object) -> dict[str, Any]:
        return (
            model_config(argument) if isinstance(argument, AutoregressiveModel) else vars(argument)
        )

    config = {"kind": type(model).__name__, **model.arguments}
    return json.loads(json.dumps(config, default=plain))


def _build(config: Any, path: Path) -> AutoregressiveModel:
    try:
        # The random choices of a new model are about to be overwritten: they cost no one theirs.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            return _model(config)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not describe a model: {error}") from error


def _model(config: Any) -> AutoregressiveModel:
    options = dict(config)
    family = find_family(options.pop("kind"))
    if (columns := options.pop("columns", None)) is not None:
        labels = tuple(tuple(column) for column in columns["labels"])
        options["columns"] = Columns(tuple(columns["names"]), labels)
    if (models := options.pop("models", None)) is not None:
        options["models"] = [_model(each) for each in models]
    return family(**options)


# Weights


def write_weights(path: Path, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Writes a state dict as safetensors, with its digest and the model that it is of.

    Raises:
        ValueError: the file cannot be written.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    metadata = {"format": FORMAT, "sha256": digest(state), "model": json.dumps(config)}
    write_file(path, to_bytes(state, metadata))


def read_weights(path: Path, config: Any) -> dict[str, Tensor]:
    """What :func:`write_weights` wrote, once the digest and the model are found to be right.

    Raises:
        ValueError: missing, damaged, of another format or of another model than ``config``.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Cloned, for they are a view of the file, which someone may write to.
            state = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise unreadable(path, error) from error
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path} is no weights file of this version of autoregress: its format is "
            f"{metadata.get('format', 'not given')!r}, not {FORMAT!r}"
        )
    if metadata.get("sha256") != digest(state):
        raise ValueError(f"{path} is damaged: its content is not what was written")
    if metadata.get("model") != json.dumps(config):
        raise ValueError(f"{path} holds the weights of another model than {CONFIG} describes")
    return state


def set_weights(model: AutoregressiveModel, state: Mapping[str, Tensor], path: Path) -> None:
    """Puts a state dict that was read from ``path`` in the place of the model's own.

    Raises:
        ValueError: names, shapes or dtypes are not those of the model.
    """
    own = model.state_dict()
    if missing := sorted(own.keys() - state.keys()):
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    if unexpected := sorted(state.keys() - own.keys()):
        raise ValueError(f"{path} holds {', '.join(unexpected)}, which the model does not have")
    for name, tensor in state.items():
        both_float = tensor.is_floating_point() and own[name].is_floating_point()
        if not both_float and tensor.dtype != own[name].dtype:
            raise ValueError(
                f"{path}: {name} is of dtype {tensor.dtype}, the model's of {own[name].dtype}"
            )
    try:
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:  # torch's word for shapes that differ, one a line
        first = str(error).splitlines()[1].strip()
        raise ValueError(f"{path} does not fit the model: {first}") from error


def digest(state: Mapping[str, Tensor]) -> str:
    """What tells the content of a state dict from any other."""
    sums = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        sums.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        sums.update(raw_bytes(tensor))
    return sums.hexdigest()


def read_config(folder: Path) -> dict[str, Any]:
    """What ``config.json`` holds.

    Raises:
        ValueError: no such folder, or none in it that can be read.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    config = read_json(path)
    if not isinstance(config, dict):
        raise ValueError(f"{path} is damaged: it does not describe a model")
    return config

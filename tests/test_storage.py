"""A model comes back from its folder to the last bit, or with a sentence about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from autoregress.model import AutoregressiveModel
from autoregress.networks.made import MADE
from autoregress.storage import load, model_config, read_weights, save, write_weights
from autoregress.symbols import Columns

COLUMNS = Columns(("colour", "größe"), (("red", "blue"), ("1", "2", "3")))


def the_same(model: AutoregressiveModel, other: AutoregressiveModel) -> bool:
    state, others = model.state_dict(), other.state_dict()
    return list(state) == list(others) and all(
        state[name].dtype == others[name].dtype and torch.equal(state[name], others[name])
        for name in state
    )


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        (6, {}),
        ((1, 2, 3), {"symbols": 5, "hidden": (4, 5), "orderings": 3, "direct": True}),
        (3, {"symbols": (2, 3, 7), "context": 2, "conditioning": True, "dropout": 0.25}),
        (2, {"symbols": COLUMNS.levels, "columns": COLUMNS, "activation": "gelu"}),
        (4, {"orderings": [[3, 1, 0, 2], [0, 1, 2, 3]], "connectivities": 3}),
        (4, {"orderings": "any", "connectivities": "any", "residual": True, "norm": True}),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_model_comes_back(tmp_path, shape, options, dtype):
    model = MADE(shape, **{"hidden": (7,), **options}).to(dtype)
    save(model, tmp_path / "deep" / "folder")
    rng = torch.get_rng_state()
    back = load(tmp_path / "deep" / "folder")
    assert torch.equal(torch.get_rng_state(), rng)
    assert the_same(model, back)
    assert isinstance(back, MADE)
    assert not back.training
    assert all(parameter.requires_grad for parameter in back.parameters())
    assert model_config(back) == model_config(model)
    assert back.symbols.columns == model.symbols.columns
    assert back.order_agnostic == model.order_agnostic
    x = torch.stack([torch.randint(0, k, (9,)) for k in model.symbols.levels], 1)
    x = x.view(-1, *model.event_shape)
    context = torch.randn(9, model.context) if model.context else None
    assert torch.equal(model.log_prob(x, context), back.log_prob(x, context))


def test_an_ensemble_keeps_its_members(tmp_path):
    model = MADE(5, hidden=(6,), orderings="any", connectivities="any")
    ensemble = model.ensemble(20, connectivities=3)
    save(ensemble, tmp_path)
    back = load(tmp_path)
    assert len(back.members) == 60
    assert the_same(ensemble, back)
    assert len(model.members) == 8


def test_saving_again_replaces(tmp_path):
    save(MADE(5, hidden=(6,)), tmp_path)
    model = MADE(4, hidden=(3,))
    save(model, tmp_path)
    assert the_same(model, load(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_the_file_may_change_after_it_was_read(tmp_path):
    model = MADE(5, hidden=(6,))
    save(model, tmp_path)
    back = load(tmp_path)
    path = tmp_path / "model.safetensors"
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert the_same(model, back)


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_refused(tmp_path):
    save(MADE(3, hidden=(2,)), tmp_path)
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.safetensors"):
            load(tmp_path)
    path.write_bytes(content)
    load(tmp_path)


@pytest.mark.slow
def test_a_flipped_bit_of_the_configuration_is_refused_or_does_no_harm(tmp_path):
    model = MADE(2, COLUMNS.levels, hidden=(2,), columns=COLUMNS)
    save(model, tmp_path)
    path = tmp_path / "config.json"
    content = path.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            back = load(tmp_path)
        except ValueError as error:
            assert str(tmp_path) in str(error)  # noqa: PT017
        else:
            assert the_same(model, back)
            assert model_config(back) == model_config(model)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_cut_or_lengthened_file_is_refused(tmp_path, name):
    save(MADE(3, hidden=(2,)), tmp_path)
    path = tmp_path / name
    content = path.read_bytes()
    for length in [*range(0, len(content) - 2, 7), len(content) - 2]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=name):
            load(tmp_path)
    path.write_bytes(content + b"x")
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        load(tmp_path)


def test_what_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"there is no folder .*gone"):
        load(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"there is no file .*config\.json"):
        load(tmp_path)
    save(MADE(3, hidden=(2,)), tmp_path)
    with pytest.raises(ValueError, match=r"there is no folder .*config\.json"):
        load(tmp_path / "config.json")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"there is no file .*model\.safetensors"):
        load(tmp_path)
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be read"):
        load(tmp_path)


def rewrite(folder: Path, change: dict[str, Any], tensors: dict[str, Any]) -> None:
    """Changes a saved model consistently: configuration, weights, digest and all."""
    config = json.loads((folder / "config.json").read_text())
    state = load_file(folder / "model.safetensors")
    config["model"] |= change
    (folder / "config.json").write_text(json.dumps(config))
    write_weights(folder / "model.safetensors", {**state, **tensors}, config["model"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"kind": "os.system"},
            r"config\.json .*kind of model 'os\.system' is not known",
        ),
        ({"kind": ["MADE"]}, r"config\.json .*kind must be a text, not \['MADE'\]"),
        ({"colour": 1}, r"config\.json .*unexpected keyword argument 'colour'"),
        ({"symbols": 1}, r"config\.json .*at least 2 levels"),
        ({"symbols": None}, r"config\.json does not describe a model"),
        ({"columns": {}}, r"config\.json does not describe a model"),
        (
            {"hidden": [10**12]},
            r"config\.json .*: hidden is \(10{12},\), too large for the \d\d",
        ),
        ({"orderings": 10**9}, r"config\.json .*: orderings is 10{9}, too large"),
        ({"event_shape": [10**12]}, r"config\.json .*: event_shape is \(10{12},\), too large"),
        ({"event_shape": [1000] * 9}, r"config\.json .*: an event of 10{27} dimensions is too la"),
        ({"symbols": 10**9}, r"config\.json .*: symbols is 10{9}, too large"),
        ({"hidden": [3]}, r"model\.safetensors does not fit .*size mismatch"),
        ({"hidden": [2, 2]}, r"model\.safetensors lacks degrees_1, layers\.1\.bias"),
        ({"event_shape": [4]}, r"model\.safetensors does not fit"),
    ],
)
def test_configurations_that_make_no_sense(tmp_path, change, message):
    save(MADE(3, hidden=(2,)), tmp_path)
    rewrite(tmp_path, change, {})
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"further": torch.zeros(1)}, "holds further, which the model does not have"),
        ({"output.bias": torch.zeros(3, dtype=torch.int64)}, "output.bias has dtype torch.int64"),
        ({"orderings": torch.zeros(1, 3)}, "orderings has dtype torch.float32"),
        ({"output.bias": torch.zeros(4)}, "does not fit the model"),
        ({"orderings": torch.zeros(1, 4, dtype=torch.int64)}, "does not fit the model"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, tensors, message):
    save(MADE(3, hidden=(2,)), tmp_path)
    rewrite(tmp_path, {}, tensors)
    with pytest.raises(ValueError, match=rf"model\.safetensors.*{message}"):
        load(tmp_path)


def test_weights_of_another_model_or_program(tmp_path):
    save(MADE(3, hidden=(2,)), tmp_path / "a")
    save(MADE(3, hidden=(2,), activation="tanh"), tmp_path / "b")
    path = tmp_path / "a" / "model.safetensors"
    (tmp_path / "b" / "model.safetensors").replace(path)
    with pytest.raises(ValueError, match=r"a/model\.safetensors holds the weights of another mod"):
        load(tmp_path / "a")
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"not a weights file of this version .* 'not given'"):
        load(tmp_path / "a")
    path.write_bytes(b"\x80\x04K*.")  # a pickle
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        load(tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"config\.json is damaged: its content must be an object"):
        load(tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text('{"model": 3}')
    with pytest.raises(ValueError, match=str(tmp_path)):
        load(tmp_path / "a")


def test_a_family_of_ones_own_is_refused(tmp_path):
    class Mine(MADE):
        pass

    with pytest.raises(ValueError, match="a Mine cannot be written to a folder before"):
        save(Mine(3, hidden=(2,)), tmp_path)
    assert not list(tmp_path.iterdir())


def test_folders_that_cannot_be_written(tmp_path, monkeypatch):
    model = MADE(3, hidden=(2,))
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file cannot be created"):
        save(model, tmp_path / "file")
    with pytest.raises(ValueError, match="cannot be created"):
        save(model, tmp_path / "file" / "folder")

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    save(model, tmp_path)
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(ValueError, match=r"model\.safetensors cannot be written: No space left"):
        save(MADE(3, hidden=(4,)), tmp_path)
    monkeypatch.undo()
    assert the_same(model, load(tmp_path))  # the old one is still whole


def test_weights_alone(tmp_path):
    state = {"a": torch.randn(3, 4).T, "b": torch.tensor(True), "c": torch.zeros(0, 2)}
    path = tmp_path / "weights.safetensors"
    write_weights(path, state, {"x": [1, "ä"]})
    back = read_weights(path, {"x": [1, "ä"]})
    assert back.keys() == state.keys()
    for name, tensor in state.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)

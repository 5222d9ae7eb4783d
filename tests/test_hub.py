"""Models on the Hugging Face Hub: what is uploaded, what is loaded from its cache, its errors."""

import shutil
import sys
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

import autoregress as ar
from autoregress.hub import FILES

NAME, COMMIT = "somebody/something", "0123456789abcdef0123456789abcdef01234567"
ROWS = {"size": ["S", "L"] * 15, "price": [*range(15), *range(15)]}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The Hub's cache, with nothing in it; the Hub itself cannot be reached."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def uploaded(cache, monkeypatch) -> Path:
    """The snapshot in the cache, into which uploads go."""
    repository = cache / f"models--{NAME.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT

    def create_repo(_: object, name: str, exist_ok: bool) -> None:
        assert name == NAME
        assert exist_ok

    def upload_folder(
        _: object, *, repo_id: str, folder_path: Path, allow_patterns: list[str], **more: str
    ) -> None:
        assert repo_id == NAME
        snapshot.mkdir(parents=True)
        for name in allow_patterns:
            if (folder_path / name).exists():
                shutil.copy(folder_path / name, snapshot)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    return snapshot


def test_a_model_goes_up_and_comes_back(uploaded, tmp_path):
    model = ar.MADE(4, hidden=(8,), orderings=2)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "secret.txt").write_text("not a file of the model")
    ar.save(model, tmp_path / "saved", hub=NAME)
    assert {path.name for path in uploaded.iterdir()} == set(FILES) - {"schema.json"}
    assert f'ar.load("hub:{NAME}")' in (uploaded / "README.md").read_text()
    x = torch.randint(2, (5, 4))
    assert torch.equal(ar.load(f"hub:{NAME}").log_prob(x), model.log_prob(x))


def test_a_table_goes_up_and_comes_back(uploaded, tmp_path):
    table = ar.Table.fit(ROWS, max_epochs=1, quiet=True, network={"hidden": (8,)})
    table.save(tmp_path / "saved", hub=NAME)
    assert {path.name for path in uploaded.iterdir()} == set(FILES)
    assert (ar.Table.load(f"hub:{NAME}").log_prob(ROWS) == table.log_prob(ROWS)).all()


def test_a_card_of_ones_own_is_uploaded_as_it_is(uploaded, tmp_path):
    model = ar.MADE(4, hidden=(8,))
    ar.save(model, tmp_path / "saved")
    (tmp_path / "saved" / "README.md").write_text("mine")
    ar.save(model, tmp_path / "saved", hub=NAME)
    assert (uploaded / "README.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["nobody/nothing", "no/such/name", ""])
def test_what_cannot_be_loaded_is_named_in_one_sentence(cache, name):
    with pytest.raises(ValueError, match=name or "owner/name") as caught:
        ar.load(f"hub:{name}")
    assert "\n" not in str(caught.value)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"autoregress\[hub\]"):
        ar.load(f"hub:{NAME}")

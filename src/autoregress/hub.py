"""Models on the Hugging Face Hub: weights as safetensors, configuration, schema and card only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autoregress.version import __version__

# The files of a model; no other file of a repository is downloaded or uploaded.
FILES = ("config.json", "model.safetensors", "schema.json", "README.md")


def download(name: str) -> Path:
    """The folder of the Hub's local cache with a model's files, fetched if they are not there.

    Args:
        name: owner/name, or owner/name@revision for a commit, branch or tag.

    Raises:
        ValueError: there is no such model, or the Hub cannot be reached.
        ImportError: huggingface_hub is not installed.
    """
    repository, _, revision = name.partition("@")
    with _sentences(repository, "downloaded") as hub:
        folder = hub.snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=list(FILES),
            library_name="autoregress",
            library_version=__version__,
        )
    return Path(folder)


def upload(folder: Path, name: str) -> None:
    """Uploads the files of a model to owner/name on the Hub, which is created if need be.

    Raises:
        ValueError: the Hub refuses, or cannot be reached.
        ImportError: huggingface_hub is not installed.
    """
    with _sentences(name, "uploaded") as hub:
        api = hub.HfApi(library_name="autoregress", library_version=__version__)
        api.create_repo(name, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message=f"autoregress {__version__}",
        )


@contextmanager
def _sentences(name: str, done: str) -> Iterator[Any]:
    """The library of the Hub, whose errors become one sentence."""
    try:
        import huggingface_hub as hub
        from huggingface_hub import errors
    except ImportError as error:
        message = "models on the Hub need huggingface_hub: pip install 'autoregress[hub]'"
        raise ImportError(message) from error
    try:
        yield hub
    except errors.HFValidationError:
        raise ValueError(f"{name!r} is not the name of a model on the Hub: owner/name") from None
    except errors.RepositoryNotFoundError:
        raise ValueError(
            f"there is no model {name} on the Hub, or it is private: hf auth login"
        ) from None
    except errors.RevisionNotFoundError:
        raise ValueError(f"{name} on the Hub has no such revision") from None
    except errors.LocalEntryNotFoundError:
        raise ValueError(
            f"{name} is not in the Hub's cache on this machine, and the Hub cannot be reached"
        ) from None
    except (OSError, errors.HfHubHTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{name} cannot be {done}: {reason}") from error

"""Resolution of a checkpoint: a local folder, or a hub id in the cache or fetched into it."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from evomerge.checkpoints.unusable import INDEX, SINGLE, why_unusable
from evomerge.errors import InputError

# Config, tokenizer, template, licence and card; weights as safetensors only, and no alternative copies in subfolders.
_WANTED = ["*.json", "*.jinja", "*.model", "*.txt", "*.safetensors", "*.tiktoken", "README.md", "LICENSE*"]
_UNWANTED = ["*/*", "optimizer*", "training_args*", "consolidated*"]
_SHOWN = 80  # characters of a source
_TIMEOUT = 10.0  # seconds for the one request that shows whether the hub can be reached


def locate(source: str, revision: str | None = None, *, offline: bool) -> Path:
    """Finds a checkpoint's folder, fetching it from the Hugging Face Hub where the source is a hub id.

    Args:
        source: A folder, absolute, relative or starting with ``~``, or a hub id ``owner/name``. A folder wins.
        revision: Branch, tag or commit of a hub id.
        offline: Never open a connection: a hub id must then be in the local cache.

    Returns:
        The folder.

    Raises:
        InputError: If there is no such folder and no such model, the hub cannot be reached (after one attempt), or
            the model there has no safetensors weights.
    """
    try:
        folder = Path(source).expanduser()
        is_folder, is_file = folder.is_dir(), folder.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, a closed door, no such home
        reason = error.strerror if isinstance(error, OSError) else error
        shown = source if len(source) <= _SHOWN else f"{source[:_SHOWN]}..."
        raise InputError(f"there is no folder {shown!r} that can be looked into: {reason}") from error
    if is_folder:
        if revision is not None:
            raise InputError(f"{source!r} is a folder; a revision ({revision!r}) belongs to a hub id")
        return folder
    if is_file:
        raise InputError(f"{source!r} is a file; name the folder that holds the model")
    absent = f"there is no folder {source!r} (looked in {str(folder.absolute())!r})"
    if source.startswith((".", "/", "~")):
        raise InputError(absent)
    try:
        validate_repo_id(source)
    except HFValidationError as error:
        raise InputError(f"{absent}, and it is no hub id either: {error}") from error
    return _cached(source, revision) if offline else _fetched(source, revision)


def _cached(source: str, revision: str | None, reason: str = "offline is set") -> Path:
    try:
        path = huggingface_hub.snapshot_download(
            source, revision=revision, local_files_only=True, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
        )
    except (OSError, ValueError) as error:
        # LocalEntryNotFoundError and its kin are OSErrors; an incomplete snapshot is one of them.
        raise InputError(
            f"{source!r} is neither a folder here nor a model in the local hub cache"
            + (f" at revision {revision!r}" if revision else "")
            + f", and it was not fetched because {reason}. Fetch it where there is a connection: hf download {source}"
        ) from error
    return Path(path)


def _fetched(source: str, revision: str | None) -> Path:
    # One request settles whether the hub answers and which files there are, before anything large is fetched.
    try:
        info = huggingface_hub.HfApi().model_info(source, revision=revision, timeout=_TIMEOUT)
    except GatedRepoError as error:
        raise InputError(
            f"{source!r} is gated on the hub: accept its terms there and log in with `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise InputError(f"{source!r} has no revision {revision!r} on the hub") from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{source!r} is neither a folder here nor a model on the hub (or it is private: `hf auth login`)"
        ) from error
    except Exception as error:  # whatever the hub's HTTP library calls a failed connection; it differs by version
        return _cached(source, revision, f"the hub could not be reached ({type(error).__name__})")
    names = [file.rfilename for file in info.siblings or () if "/" not in file.rfilename]
    if SINGLE not in names and INDEX not in names:
        raise InputError(why_unusable(source, names))
    if SINGLE in names and INDEX in names:
        # Refused before gigabytes are fetched; which of them the repository means is not ours to guess.
        raise InputError(
            f"{source!r} holds two sets of weights: {SINGLE}, and shards with {INDEX}. Fetch the set that is meant "
            f"into a folder and name that: hf download {source} --local-dir FOLDER --exclude 'model-*' {INDEX}"
        )
    try:
        path = huggingface_hub.snapshot_download(
            source, revision=info.sha, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
        )
    except Exception as error:
        raise InputError(f"fetching {source!r} from the hub failed ({type(error).__name__}: {error})") from error
    return Path(path)

"""Resolution of a checkpoint: a local folder, or a hub id in the cache or fetched into it."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from evomerge.checkpoints import hub
from evomerge.errors import InputError

_SHOWN = 80  # characters of a source


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
    return hub.cached(source, revision) if offline else hub.fetched(source, revision)

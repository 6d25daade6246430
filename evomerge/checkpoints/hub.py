"""Models on the Hugging Face Hub: from the local cache, or fetched into it, with every new file's hash checked."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import filter_repo_objects

from evomerge.checkpoints.unusable import INDEX, SINGLE, why_unusable
from evomerge.errors import InputError

# Config, tokenizer, template, licence and card; weights as safetensors only, and no alternative copies in subfolders.
_WANTED = ["*.json", "*.jinja", "*.model", "*.txt", "*.safetensors", "*.tiktoken", "README.md", "LICENSE*"]
_UNWANTED = ["*/*", "optimizer*", "training_args*", "consolidated*"]
_ADAPTER = {"adapter_config.json", "adapter_model.safetensors"}
_TIMEOUT = 10.0  # seconds for the one request that shows whether the hub can be reached
_SHA256, _SHA1 = 64, 40  # hex digits of the names that the cache gives to large files, and to small ones
_GB = 1e9


def cached(source: str, revision: str | None, reason: str = "offline is set") -> Path:
    """The folder of a model in the local cache.

    Args:
        source: Its hub id.
        revision: Branch, tag or commit; None is the main branch.
        reason: Why it is not fetched, for the message.

    Raises:
        InputError: If it is not there, or not all of it.
    """
    try:
        path = huggingface_hub.snapshot_download(
            source, revision=revision, local_files_only=True, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
        )
    except (OSError, ValueError) as error:
        # LocalEntryNotFoundError and its kin are OSErrors; an incomplete snapshot is one of them.
        at = f" --revision {revision}" if revision else ""
        raise InputError(
            f"{source!r} is neither a folder here nor a model in the local hub cache"
            + (f" at revision {revision!r}" if revision else "")
            + f", and it was not fetched because {reason}. Fetch it where there is a connection: evomerge fetch with "
            f"the words of the search, or hf download {source}{at}"
        ) from error
    return Path(path)


def fetched(source: str, revision: str | None) -> Path:
    """The folder of a model, of which everything that the cache lacks is fetched, once.

    Raises:
        InputError: If there is no such model, it has no weights that can be read, the disk is too small, or what came
            is not what the hub announced. Where the hub cannot be reached, after one attempt, the cache has to do.
    """
    info = _asked(source, revision)
    if isinstance(info, str):
        return cached(source, revision, info)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or () if "/" not in file.rfilename}
    if SINGLE not in sizes and INDEX not in sizes and not sizes.keys() >= _ADAPTER:
        raise InputError(why_unusable(source, list(sizes)))
    if SINGLE in sizes and INDEX in sizes:
        # Refused before gigabytes are fetched; which of them the repository means is not ours to guess.
        raise InputError(
            f"{source!r} holds two sets of weights: {SINGLE}, and shards with {INDEX}. Fetch the set that is meant "
            f"into a folder and name that: hf download {source} --local-dir FOLDER --exclude 'model-*' {INDEX}"
        )
    place = Path(huggingface_hub.constants.HF_HUB_CACHE)
    folder = place / "--".join(["models", *source.split("/")]) / "snapshots" / str(info.sha)
    wanted = list(filter_repo_objects(sizes, allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
    new = [name for name in wanted if not (folder / name).exists()]
    _check_room(source, place, sum(sizes[name] for name in new))
    try:
        # By the name that was asked for, not by the commit: only then does the cache know the name when offline.
        path = Path(
            huggingface_hub.snapshot_download(
                source, revision=revision, allow_patterns=_WANTED, ignore_patterns=_UNWANTED
            )
        )
    except Exception as error:
        raise InputError(
            f"fetching {source!r} from the hub failed ({type(error).__name__}: {error}). What came is kept; the same "
            "command goes on from there"
        ) from error
    if problems := damaged(path / name for name in new):
        raise InputError(problems)
    return path


def files_in_cache() -> set[Path]:
    """All files of all repositories in the local cache: models, data sets, metrics."""
    place = Path(huggingface_hub.constants.HF_HUB_CACHE)
    return {path for path in place.glob("*--*/snapshots/*/**/*") if not path.is_dir()}


def damaged(files: Iterable[Path]) -> list[str]:
    """Finds files of the cache whose content is not what the hub announced, and removes them.

    The cache names a file by the hub's hash of it: SHA-256 for large files, git's SHA-1 for small ones. Files that are
    no links into it, on systems without links, are passed over.

    Args:
        files: Files of snapshots.

    Returns:
        One sentence for each.
    """
    problems = []
    for file in files:
        if not file.is_symlink():
            continue
        blob = file.resolve()
        found = _hash(blob, len(blob.name))
        if found is None or found == blob.name:
            continue
        blob.unlink()
        file.unlink()
        problems.append(
            f"{file.name} of {repository(file)!r} is not what the hub has: its hash is {found}, expected {blob.name}. "
            "It was removed; fetch again, and if it stays so, something between here and the hub changes files"
        )
    return problems


def repository(file: Path) -> str:
    """The id of the repository that a file of the cache belongs to."""
    name = next(parent.parent.name for parent in file.parents if parent.name == "snapshots")
    return "/".join(name.split("--")[1:])


def _asked(source: str, revision: str | None) -> huggingface_hub.ModelInfo | str:
    """The hub's description of a model; or the reason why it cannot be had."""
    # One request settles whether the hub answers and which files there are, before anything large is fetched.
    try:
        return huggingface_hub.HfApi().model_info(source, revision=revision, timeout=_TIMEOUT, files_metadata=True)
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
        return f"the hub could not be reached ({type(error).__name__})"


def _check_room(source: str, place: Path, needed: int) -> None:
    free = shutil.disk_usage(next(path for path in (place, *place.parents) if path.exists())).free
    if needed > free:
        raise InputError(
            f"{source!r} takes {needed / _GB:.1f} GB, and {str(place)!r} has {free / _GB:.1f} GB free. Make room, or "
            "let HF_HOME name another disk"
        )


def _hash(file: Path, digits: int) -> str | None:
    """The hash that the hub names a file of the cache by; None for names that are none."""
    if digits not in (_SHA256, _SHA1):
        return None
    with file.open("rb") as opened:
        if digits == _SHA256:
            return hashlib.file_digest(opened, "sha256").hexdigest()
        digest = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
        digest.update(opened.read())
    return digest.hexdigest()

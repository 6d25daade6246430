"""Paths as users write them: ``~``, the example inside the package, hub ids; and whether there is anything at one."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from evomerge.errors import suggest

EXAMPLE = "example:"
_ADAPTER = "adapter_config.json"
_MOUNTS = Path("/proc/self/mountinfo")  # on Linux
_OCTAL = re.compile(r"\\([0-7]{3})")
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


def example_folder() -> Path:
    """The folder of the embedded example's models and tasks."""
    return Path(__file__).resolve().parent.parent / "example"


def resolve(source: str) -> str:
    """The path that a source stands for: ``example:base`` is a folder inside the package, ``~`` the home folder.

    Others stay as they were written, hub ids among them.
    """
    if source.startswith(EXAMPLE):
        return str(example_folder() / source.removeprefix(EXAMPLE))
    return str(expanded(source)) if any(part.startswith("~") for part in Path(source).parts[:1]) else source


def is_hub_id(source: str) -> bool:
    """Whether a model is looked for on the hub: ``ORG/NAME``, where no such folder (nor one called ORG) exists."""
    if source.startswith(EXAMPLE) or not _HUB_ID.match(source):
        return False
    return not there(Path(source)) and not is_folder(Path(source).parent)


def expanded(path: str) -> Path:
    """The path with ``~`` expanded, where there is such a home; ``./~x`` is a folder of that name."""
    if not path.startswith("~"):
        found = Path(path)
        # The path has lost the dot of ./~x, without which everybody would look for a home.
        return found.absolute() if found.parts and found.parts[0].startswith("~") else found
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def named_base(folder: Path) -> tuple[str, str | None] | None:
    """The model that a LoRA adapter's folder says it was trained on, with its revision; None of all other folders.

    A file that cannot be read says nothing here: whoever opens the folder tells what is wrong with it.
    """
    if not is_file(folder / _ADAPTER) or any(folder.glob("model*.safetensors")):
        return None
    try:
        data = json.loads((folder / _ADAPTER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    data = data if isinstance(data, dict) else {}
    name, revision = data.get("base_model_name_or_path"), data.get("revision")
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        return None
    return name, revision if isinstance(revision, str) and revision else None


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False too for names that are too long, or behind a closed door."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether there is such a file, as :func:`is_folder`."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def there(path: Path) -> bool:
    """Whether there is such a file or folder."""
    return is_folder(path) or is_file(path)


def sibling(path: Path) -> str:
    """Ends a message with the name beside a missing path that was probably meant."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.name != path.name]
    except (OSError, ValueError):
        names = []
    return suggest(path.name, names)


def folder_problem(path: Path) -> str | None:
    """Why a folder cannot be used, or cannot be made; None where it can. Nothing is made."""
    if is_file(path):
        return f"{path} is a file; expected a folder"
    return None if is_folder(path) and os.access(path, os.W_OK | os.X_OK) else _obstacle(path)


def new_folder_problem(path: Path) -> str | None:
    """Why a new folder cannot be made; an empty one may be there, which a finished one beside it then replaces."""
    problem = folder_problem(path)
    if problem is not None or not is_folder(path):
        return problem
    try:
        if any(path.iterdir()):
            return f"{path} exists and is not empty; name a new folder, or remove it first"
    except OSError as error:
        return f"{path}: {(error.strerror or str(error)).lower()}"
    if _is_mount(path):
        return f"{path} is where a disk is mounted and cannot be replaced; name a new folder in it, {path / 'NAME'}"
    beside = path.resolve().parent
    return None if os.access(beside, os.W_OK | os.X_OK) else f"nothing may be written to {beside}, beside {path}"


def _is_mount(path: Path) -> bool:
    """Whether something is mounted on a folder. One that is bound from the same disk is only in the system's table."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return path.is_mount()
    places = {_OCTAL.sub(lambda found: chr(int(found[1], 8)), line.split()[4]) for line in lines}
    return path.is_mount() or str(path.resolve()) in places


def new_file_problem(path: Path) -> str | None:
    """Why a file cannot be written; an older one is replaced, but no pipe or device."""
    if is_folder(path):
        return f"{path} is a folder; expected the name of a file"
    problem = _obstacle(path)
    if problem is None and path.exists() and not is_file(path):
        return f"{path} is neither a file nor a folder; expected the name of a file"
    return problem


def _obstacle(path: Path) -> str | None:
    """The obstacle to making a file or folder, on the way there or in its name; None where there is none."""
    if "\0" in str(path):
        return f"{_shortened(path)!r} holds a null byte"
    if path.parts and path.parts[0].startswith("~"):
        return f"there is no home folder {path.parts[0]}; for a folder of that name write ./{path}"
    try:
        nearest = next(place for place in (path, *path.absolute().parents) if place.is_symlink() or place.exists())
        if not nearest.exists():
            return f"{nearest} is a link that leads nowhere"
        if nearest != path and not nearest.is_dir():
            return f"{nearest} is a file, so there can be nothing below it"
        if not os.access(nearest, os.W_OK | (os.X_OK if nearest.is_dir() else 0)):
            return f"nothing may be written to {nearest}"
        longest = os.pathconf(nearest, "PC_NAME_MAX")
        long = next((part for part in path.parts if len(os.fsencode(part)) > longest), None)
        return f"the name {long[:20]}... is longer than {longest} bytes" if long else None
    except OSError as error:
        return f"{_shortened(path)}: {(error.strerror or str(error)).lower()}"


def _shortened(path: Path, length: int = 80) -> str:
    text = str(path)
    return text if len(text) <= length else f"{text[:length]}..."

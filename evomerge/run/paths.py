"""Paths as users write them: ``~``, the example inside the package, hub ids; and whether there is anything at one."""

from __future__ import annotations

import re
from pathlib import Path

from evomerge.errors import suggest

EXAMPLE = "example:"
_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


def example_folder() -> Path:
    """The folder of the embedded example's models and tasks."""
    return Path(__file__).resolve().parent.parent / "example"


def resolve(source: str) -> str:
    """The path that a source stands for: ``example:base`` is a folder inside the package, ``~`` the home folder."""
    if source.startswith(EXAMPLE):
        return str(example_folder() / source.removeprefix(EXAMPLE))
    return str(expanded(source)) if source.startswith("~") else source


def is_hub_id(source: str) -> bool:
    """Whether a model is looked for on the hub: ``ORG/NAME``, where no such folder (nor one called ORG) exists."""
    if source.startswith(EXAMPLE) or not _HUB_ID.match(source):
        return False
    return not there(Path(source)) and not is_folder(Path(source).parent)


def expanded(path: str) -> Path:
    """The path with ``~`` expanded, where there is such a home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False too for names that are too long, or behind a closed door."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether there is such a file, as :func:`is_folder`."""
    try:
        return path.is_file()
    except OSError:
        return False


def there(path: Path) -> bool:
    """Whether there is such a file or folder."""
    return is_folder(path) or is_file(path)


def sibling(path: Path) -> str:
    """Ends a message with the name beside a missing path that was probably meant."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        names = []
    return suggest(path.name, names)

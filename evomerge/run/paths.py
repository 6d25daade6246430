"""Looking at paths that people wrote: what cannot even be looked at is not there."""

from __future__ import annotations

from pathlib import Path

from evomerge.errors import suggest


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

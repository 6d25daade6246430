"""Folders that appear when they are complete, whatever happens on the way.

A folder is written beside its place, under a name that begins with a dot, and renamed at the end. An error removes it.
A process that is killed leaves it, but without the file by which a folder counts as a model; the next one that writes
to the same place finds it by its name, sees by its lease that nobody writes it any more, and removes it.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evomerge.errors import InputError
from evomerge.lease import Lease

CONFIG = "config.json"
_HELD_BACK = "config.json.unfinished"


@contextmanager
def appearing(out: Path, *, made: bool = True) -> Iterator[Path]:
    """Gives a folder to write to, which becomes ``out`` at the end or disappears.

    Args:
        out: The folder to make. It does not exist, or is empty.
        made: Whether the folder to write to is there already; else it is made by whoever writes to it.

    Yields:
        The folder to write to, of the name that ``out`` has.
    """
    out = out.resolve()  # a link to an empty folder stays one
    created = [parent for parent in out.parents if not parent.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(out)
    draft, lease = _new_draft(out)
    try:
        # Inside the draft, whose lease is held until the folder has left it.
        folder = draft / out.name
        if made:
            folder.mkdir()
        yield folder
        if out.exists():
            out.rmdir()
        folder.rename(out)
    except BaseException:
        _end(draft, lease)
        for parent in created:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()
        raise
    _end(draft, lease)


def hold_back_config(folder: Path) -> None:
    """Puts a folder's config where nobody takes the folder for a model, until :func:`give_config`."""
    (folder / CONFIG).rename(folder / _HELD_BACK)


def give_config(folder: Path) -> None:
    """Puts the config in its place, by which a folder whose weights are complete becomes a model."""
    (folder / _HELD_BACK).rename(folder / CONFIG)


def _remove_leftovers(out: Path) -> None:
    """Removes what killed processes have left of the same folder."""
    name = re.compile(rf"\.{re.escape(out.name)}\.[0-9a-f]{{8}}")
    for path in sorted(out.parent.iterdir()):
        if name.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            with suppress(InputError, OSError):  # somebody writes it, or it is not ours to remove
                _remove(path)


def _remove(draft: Path) -> None:
    _end(draft, Lease.take(draft))


def _new_draft(out: Path) -> tuple[Path, Lease]:
    """Makes a draft and takes its lease; in between another process may take it for a leftover."""
    while True:
        draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
        draft.mkdir()
        try:
            with suppress(InputError, FileNotFoundError):
                return draft, Lease.take(draft)
        except OSError:  # such as a disk that is full
            with suppress(OSError):
                draft.rmdir()
            raise


def _end(draft: Path, lease: Lease) -> None:
    """Removes a draft, the folder in it before its lease, so that a kill leaves nothing that is large."""
    with suppress(OSError):
        for path in draft.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
    lease.release()
    shutil.rmtree(draft, ignore_errors=True)

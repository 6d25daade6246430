"""Folders that appear when they are complete, whatever happens on the way.

A folder is written beside its place, under a name that begins with a dot, and renamed at the end. An error removes it.
A process that is killed leaves it, but without the file by which a folder counts as a model; the next one that writes
to the same place finds it by its name, sees by its lease that nobody writes it any more, and removes it.
"""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evomerge.errors import InputError
from evomerge.lease import EXPIRY, Lease

CONFIG = "config.json"
_HELD_BACK = "config.json.unfinished"


@contextmanager
def appearing(out: Path, within: str = "") -> Iterator[Path]:
    """Gives a folder to write to, which becomes ``out`` at the end or disappears.

    Args:
        out: The folder to make. It does not exist, or is empty.
        within: Name of the folder inside the draft that becomes ``out``, where something else makes that folder; else
            the draft itself does, and is there already.

    Yields:
        The folder to write to.
    """
    out = out.resolve()  # a link to an empty folder stays one
    created = [parent for parent in out.parents if not parent.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(out)
    draft = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    draft.mkdir()
    lease = None
    try:
        lease = Lease.take(draft)
        made = draft / within
        yield made
        lease.release()
        if out.exists():
            out.rmdir()
        made.rename(out)
    except BaseException:
        if lease is not None:
            lease.release()
        shutil.rmtree(draft, ignore_errors=True)
        for parent in created:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()
        raise
    shutil.rmtree(draft, ignore_errors=True)


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
    if not any(draft.glob(".lease.*")) and time.time() - draft.stat().st_mtime < EXPIRY:
        return  # its process has just made it, or is about to rename it
    lease = Lease.take(draft)
    try:
        shutil.rmtree(draft)
    finally:
        lease.release()

"""Whether answers may be run: only where the setting ``fitness.code`` says so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from evomerge.errors import InputError

REFUSED = (
    "its answers are programs, which judging runs; set fitness.code=sandbox to let them run, each in a sandbox without "
    "network and with limits"
)


class _Permission:
    """Whether this process may run answers at the moment."""

    given = False


@contextlib.contextmanager
def given(setting: str) -> Iterator[None]:
    """Lets answers be run in this block, or not.

    Args:
        setting: ``fitness.code``.
    """
    before, _Permission.given = _Permission.given, setting == "sandbox"
    try:
        yield
    finally:
        _Permission.given = before


def demand() -> None:
    """Refuses to run an answer where the setting does not allow it.

    Raises:
        InputError: If it does not.
    """
    if not _Permission.given:
        raise InputError(REFUSED)

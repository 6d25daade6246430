"""Configurations of other tools' searches, recognised by their content and translated into our keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from evomerge.config import parse
from evomerge.config.parse import Override
from evomerge.dialects import evolve, mergenetic
from evomerge.dialects.overrides import Overrides
from evomerge.dialects.yaml_text import documents
from evomerge.errors import InputError
from evomerge.run.paths import expanded, is_file

_DIALECTS: Sequence[tuple[Callable[[Any], bool], Callable[[Any, str], Overrides]]] = (
    (evolve.is_config, evolve.overrides),
    (mergenetic.is_config, mergenetic.overrides),
)


def read(name: str) -> Overrides | None:
    """Translates a file.

    Args:
        name: The file, as the user wrote it.

    Returns:
        The overrides that it stands for; None if it is no configuration of another tool's search, or cannot be read,
        which whoever reads it in earnest says.

    Raises:
        InputError: With everything in it that no search of ours does.
    """
    path = expanded(name)
    if not is_file(path):
        return None
    try:
        found = documents(path.read_text(encoding="utf-8"), name)
    except (InputError, OSError, ValueError):
        return None
    if len(found) != 1:
        return None
    for is_config, overrides in _DIALECTS:
        if is_config(found[0]):
            return overrides(found[0], name)
    return None


def said(name: str, found: Overrides, translated: Sequence[Override]) -> list[str]:
    """The translation for people, one line for each key."""
    lines = [f"{name} is a configuration of {found.tool}; in words of evomerge:"]
    lines += [f"  {override.key}={parse.written(override.value)}" for override in translated]
    return [*lines, *(f"  note: {note}" for note in found.notes)]

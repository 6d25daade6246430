"""The file of a recipe: JSON, read with care, since it may be anybody's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.texts import read_text, too_deep

_LEVELS = 200  # of lists and objects, of which a recipe inside another takes three


def read_file(path: str | Path) -> dict[str, Any]:
    """Reads the JSON object in a recipe's file; its fields are not looked at.

    Raises:
        InputError: If the file is missing, is not JSON, or holds something else than an object.
    """
    try:
        data = json.loads(read_text(Path(path).expanduser(), "utf-8-sig"), object_pairs_hook=_object)
    except FileNotFoundError as error:
        raise InputError(f"there is no recipe file {str(path)!r}") from error
    except (OSError, ValueError, RecursionError) as error:  # numbers of thousands of digits are ValueErrors
        raise InputError(f"the recipe file {str(path)!r} cannot be read as JSON: {error}") from error
    if not isinstance(data, dict):
        raise InputError(f"the recipe file {str(path)!r} holds a {type(data).__name__}; expected an object")
    if too_deep(data, _LEVELS):
        raise InputError(f"the recipe file {str(path)!r} holds lists or objects nested more than {_LEVELS} deep")
    return data


def _object(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, whose fields may not be given twice: the last would count without a word."""
    found = dict(fields)
    if len(found) < len(fields):
        names = [name for name, _ in fields]
        raise ValueError(f"field {next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found

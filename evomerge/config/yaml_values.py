"""Values written in YAML, in a word of the command line or in a file."""

from __future__ import annotations

from typing import Any

import yaml

from evomerge.run.paths import expanded
from evomerge.texts import read_text


def yaml_value(text: str) -> Any:
    """Reads YAML.

    Raises:
        ValueError: If it is none, or holds what no value can be made of.
    """
    try:
        return yaml.safe_load(text)
    except Exception as error:  # besides its own, whatever a constructor meets: a date without its month, !!bool maybe
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def yaml_file(name: str) -> Any:
    """Reads a YAML file, with ``~`` expanded.

    Raises:
        ValueError: If it cannot be read.
    """
    path = expanded(name)
    try:
        return yaml_value(read_text(path))
    except OSError as error:
        raise ValueError(f"the file {name} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ValueError(f"the file {name} is not YAML: {error}") from error

"""The words of a user about statistics, as far as it can be checked without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evomerge.errors import suggest
from evomerge.run.paths import expanded, folder_problem, is_file, is_folder, sibling

__all__ = ["problems"]


def problems(values: Mapping[str, Any]) -> list[str]:
    """Files of texts that are not there, models that are none, and a folder that cannot be used.

    Args:
        values: Dotted key to value, of those that could be read.
    """
    labels = [ref.label for ref in values.get("models", ())]
    known = ", ".join(labels)
    return [
        *(
            f"calibration_of: there is no model {label!r}{suggest(label, labels)} (there are {known})"
            for label in values.get("calibration_of", {})
            if labels and label not in labels
        ),
        *texts(values),
        *folder(values),
    ]


def texts(values: Mapping[str, Any]) -> list[str]:
    """Files of texts that are not there."""
    found = [text for file in values.get("calibration", ()) for text in _file("calibration", file)]
    for label, file in values.get("calibration_of", {}).items():
        if not isinstance(file, str):
            found.append(f"calibration_of.{label}: expected the name of a JSONL file, came {file!r}")
        else:
            found += _file(f"calibration_of.{label}", file)
    return found


def folder(values: Mapping[str, Any]) -> list[str]:
    """A folder of statistics that cannot be used."""
    name = values.get("statistics.folder")
    problem = None if name is None else folder_problem(expanded(name))
    return [] if problem is None else [f"statistics.folder: {problem}"]


def _file(key: str, file: str) -> Iterator[str]:
    path = expanded(file)
    if not is_file(path):
        what = f"{file} is a folder" if is_folder(path) else f"there is no file {file}"
        yield f"{key}: {what}; expected a JSONL file of texts{sibling(path)}"

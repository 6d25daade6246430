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
    found = [text for file in values.get("calibration", ()) for text in _file("calibration", file)]
    labels = [ref.label for ref in values.get("models", ())]
    for label, file in values.get("calibration_of", {}).items():
        if labels and label not in labels:
            known = ", ".join(labels)
            found.append(f"calibration_of: there is no model {label!r}{suggest(label, labels)} (there are {known})")
        if not isinstance(file, str):
            found.append(f"calibration_of.{label}: expected the name of a JSONL file, came {file!r}")
        else:
            found += _file(f"calibration_of.{label}", file)
    folder = values.get("statistics.folder")
    if folder is not None and (problem := folder_problem(expanded(folder))):
        found.append(f"statistics.folder: {problem}")
    return found


def _file(key: str, file: str) -> Iterator[str]:
    path = expanded(file)
    if not is_file(path):
        what = f"{file} is a folder" if is_folder(path) else f"there is no file {file}"
        yield f"{key}: {what}; expected a JSONL file of texts{sibling(path)}"

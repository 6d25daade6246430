"""The config and the weight files of a model folder, as transformers would choose them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evomerge.checkpoints.files.folder_files import file_problems
from evomerge.checkpoints.json_files import read_object
from evomerge.checkpoints.quantised import quantised_config
from evomerge.checkpoints.unusable import INDEX, SINGLE, why_no_model, why_unusable
from evomerge.errors import InputError

_LONGEST = 300  # characters of a name in a message


def weight_files(folder: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The config of a model folder, and its safetensors files in the order of their names.

    Raises:
        InputError: If the folder is missing, has no config, is quantised, or holds no safetensors weights. The message
            says what is there instead and what to do.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r}")
    problems: list[str] = file_problems(folder)
    config: dict[str, Any] = {}
    if problems:
        raise InputError(problems)
    try:
        config = read_object(folder / "config.json")
        problems += [*quantised_config(folder, config), *_redirections(folder, config)]
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise InputError(why_no_model(folder)) from error
        problems += error.problems
    try:
        chosen = _chosen(folder)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    return config, chosen


def _chosen(folder: Path) -> tuple[Path, ...]:
    try:
        names = sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(f"{str(folder)!r} cannot be listed: {error.strerror or error}") from error
    if INDEX not in names and SINGLE not in names:
        raise InputError(why_unusable(str(folder), names))
    if INDEX not in names:
        return (folder / SINGLE,)
    listed = sorted(set(read_index(folder).values()))
    if SINGLE in names and listed != [SINGLE]:
        # transformers loads the single file and never looks at the index.
        raise InputError(
            f"{str(folder)!r} holds two sets of weights: {SINGLE}, and {len(listed)} files that {INDEX} names "
            f"({', '.join(listed[:2])}{', ...' if len(listed) > 2 else ''}). Remove {SINGLE} if the shards are meant, "
            f"or {INDEX} if the single file is"
        )
    problems = []
    for file in listed:
        if Path(file).name != file:
            problems.append(
                f"{INDEX} in {str(folder)!r} names {file[:_LONGEST]!r}; files must lie in the folder itself"
            )
        elif not file.endswith(".safetensors"):
            problems.append(
                f"{INDEX} in {str(folder)!r} names {file[:_LONGEST]!r}; expected files that end in .safetensors"
            )
        elif file not in names:
            problems.append(f"{str(folder / file[:_LONGEST])!r} is missing; {INDEX} names it. Fetch it again")
    if problems:
        raise InputError(problems)
    return tuple(folder / file for file in listed)


def read_index(folder: Path) -> dict[str, str]:
    """The index of a folder's shards: tensor name to file name.

    Raises:
        InputError: If it cannot be read.
    """
    listed = read_object(folder / INDEX).get("weight_map")
    if not isinstance(listed, dict) or not listed or not all(isinstance(file, str) for file in listed.values()):
        raise InputError(f"{str(folder / INDEX)!r} has no weight_map from tensor names to files. Fetch it again")
    return listed


def _redirections(folder: Path, config: Mapping[str, Any]) -> list[str]:
    """Fields that make transformers load another file than the usual one."""
    problems = []
    other = config.get("transformers_weights")
    if other is not None and not (other in (SINGLE, INDEX) and (folder / other).is_file()):
        problems.append(
            f"{str(folder)!r}: config.json names {other!r} as the weights (transformers_weights); only {SINGLE} or "
            f"{INDEX} are read here. Rename the file and remove the field"
        )
    if config.get("configuration_files"):
        problems.append(
            f"{str(folder)!r}: config.json names other config files by version (configuration_files), of which "
            "transformers picks one. Keep the one that is meant as config.json"
        )
    return problems

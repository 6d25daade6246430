"""A run that is gone on with from its folder alone: its configuration, read back; nothing heavy is imported.

Whoever drives a run that several machines work at writes ``work/config.json``: the configuration with absolute paths,
as all of them read it. A run without one has its manifest's, as its user wrote it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.recipe import AdapterRef, CheckpointRef, ModelRef
from evomerge.run import paths
from evomerge.run.run_config import RunConfig
from evomerge.settings import from_json
from evomerge.store import read_json, read_manifest, write_json

__all__ = [
    "DATA_KEYS",
    "TASK_FILES",
    "WORK",
    "absolute",
    "begun_config",
    "config_of",
    "device_of",
    "directory_of",
    "is_shared",
    "write_config",
]

TASK_FILES = (".yaml", ".yml")
DATA_KEYS = ("data", "fewshot")  # of a declared task: files
WORK = "work"  # inside a run's folder: where those who share the run meet
_CONFIG = "config.json"


def config_of(folder: Path) -> RunConfig:
    """The configuration of a run, with the command that began it.

    Args:
        folder: The run's folder, or the one that a submission made for it.

    Raises:
        InputError: If there is none, or it cannot be read.
    """
    return _read(*_written(folder))


def begun_config(folder: Path) -> RunConfig:
    """The configuration of a run as its user wrote it, from its manifest; settings added since have their defaults.

    Raises:
        InputError: If there is none, or it cannot be read.
    """
    return _read(read_manifest(folder), folder / "manifest.json")


def directory_of(folder: Path) -> Path | None:
    """The working folder that a run's paths are relative to, where they are; None where that is not known."""
    found = _written(folder)[0].get("directory")
    return Path(found) if isinstance(found, str) and paths.is_folder(Path(found)) else None


def device_of(folder: Path) -> str | None:
    """The kind of device that a run's models are on, ``cpu`` or ``cuda``; None where it has not begun."""
    if not (folder / "manifest.json").exists():
        return None
    found = read_manifest(folder).get("identity", {}).get("model", {}).get("device")
    return found if isinstance(found, str) else None


def is_shared(folder: Path) -> bool:
    """Whether workers may join a run: it was submitted, or driven by an executor whose workers join it."""
    return (folder / WORK / _CONFIG).exists()


def write_config(folder: Path, config: RunConfig) -> None:
    """Writes the configuration for all who share the run."""
    data = {"command": list(config.command), "directory": str(Path.cwd()), "config": absolute(config).to_json()}
    write_json(folder / WORK / _CONFIG, data)


def _written(folder: Path) -> tuple[dict[str, Any], Path]:
    path = folder / WORK / _CONFIG
    if path.exists():
        return read_json(path), path
    return read_manifest(folder), folder / "manifest.json"


def _read(data: Mapping[str, Any], path: Path) -> RunConfig:
    config = data.get("config")
    try:
        if not isinstance(config, Mapping):
            raise ValueError("there is no configuration in it")
        given = dict(config)
        given["models"] = [_model(model) for model in given.get("models", ())]
        given["base"] = None if given.get("base") is None else _model(given["base"])
        given["patterns"] = [tuple(pair) for pair in given.get("patterns", ())]
        return from_json(RunConfig, given, command=tuple(data.get("command", ())))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} holds no configuration of a run: {error}") from error


def _model(data: Mapping[str, Any]) -> ModelRef:
    fields = {name: data.get(name) for name in ("revision", "fingerprint", "hub_id")}
    if data.get("on") is None:
        return CheckpointRef(data["source"], **fields)
    on = _model(data["on"])
    if isinstance(on, AdapterRef):
        raise ValueError("an adapter on an adapter")
    return AdapterRef(data["source"], on, **fields)


def absolute(config: RunConfig) -> RunConfig:
    """The same configuration from wherever it is read: paths are absolute; hub ids and the example stay as they are."""
    fitness = replace(
        config.fitness,
        task_path=tuple(map(_place, config.fitness.task_path)),
        tasks=tuple(map(_task, config.fitness.tasks)),
    )
    return replace(
        config,
        fitness=fitness,
        models=tuple(map(_ref, config.models)),
        base=None if config.base is None else _ref(config.base),
        functions=tuple(map(_function, config.functions)),
        calibration=tuple(map(_file, config.calibration)),
        calibration_of={label: _file(file) for label, file in config.calibration_of.items()},
        statistics=replace(config.statistics, folder=_optional(config.statistics.folder, _file)),
        recipe=_optional(config.recipe, _file),
        run_dir=_optional(config.run_dir, _file),
        start_from=_optional(config.start_from, _file),
    )


def _optional(value: str | None, change: Callable[[str], str]) -> str | None:
    return None if value is None else change(value)


def _file(path: str) -> str:
    return os.path.abspath(paths.expanded(path))  # noqa: PTH100 - links stay what they are


def _place(source: str) -> str:
    """A model or a folder of tasks."""
    known = source.startswith(paths.EXAMPLE) or paths.is_hub_id(source)
    return source if known else _file(source)


def _ref(ref: ModelRef) -> ModelRef:
    if isinstance(ref, AdapterRef):
        on = _ref(ref.on)
        assert isinstance(on, CheckpointRef)
        return replace(ref, source=_place(ref.source), on=on)
    return replace(ref, source=_place(ref.source))


def _task(task: str | Mapping[str, Any]) -> str | Mapping[str, Any]:
    """A task's file, or the files that a declared task names where these lie in the working folder."""
    if isinstance(task, str):
        return _file(task) if task.endswith(TASK_FILES) else task
    files = {key: task[key] for key in DATA_KEYS if isinstance(task.get(key), str)}
    there = {key: _file(name) for key, name in files.items() if paths.is_file(paths.expanded(name))}
    return {**task, **there}


def _function(entry: str) -> str:
    place, _, name = entry.rpartition(":")
    return f"{_file(place)}:{name}"

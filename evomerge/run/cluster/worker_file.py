"""Settings of workers on other machines: written by the driver as JSON, read where a worker is made."""

from __future__ import annotations

import dataclasses
import signal
import threading
import types
import typing
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evomerge import executors
from evomerge.errors import InputError
from evomerge.evaluation import Job, Outcome
from evomerge.recipe import Recipe
from evomerge.run import environment
from evomerge.run.attach import WORK
from evomerge.store import read_json, write_json

if TYPE_CHECKING:
    from evomerge.candidate import WorkerSettings
    from evomerge.executors import ExecutorSettings, Worker

__all__ = ["WORKER", "made", "read_worker", "worker_of", "write_worker"]

WORKER = "worker.json"


def write_worker(folder: Path, settings: WorkerSettings, executor: ExecutorSettings, *, offline: bool) -> None:
    """Writes what workers need: their settings, and the limits that candidates have.

    Args:
        folder: The run's folder.
        settings: The settings of the workers.
        executor: The user's own settings, whose limits and GPUs are those of each process of a worker.
        offline: Whether the hub is out of bounds.
    """
    places = tuple((ref, str(Path(place).absolute())) for ref, place in settings.folders)
    chosen = executors.load(executor.name)
    given = chosen.given(executor)  # by the keys of their own, or among the executor's options
    limits = {name: given.get(name) for name in ("timeout", "memory")}
    gpus = chosen.complete(given).get("gpus", 1)
    data = {"offline": offline, "limits": limits, "gpus": gpus, "settings": plain(replace(settings, folders=places))}
    write_json(folder / WORK / WORKER, data)


def read_worker(folder: Path) -> dict[str, Any] | None:
    """The JSON that :func:`write_worker` wrote; None as long as no driver has."""
    path = folder / WORK / WORKER
    return read_json(path) if path.exists() else None


def worker_of(folder: Path) -> Worker:
    """A worker of a run, made in a process of its own: that is where models are.

    Args:
        folder: The run's folder.

    Raises:
        InputError: If it cannot be made on this machine.
    """
    data = read_worker(folder)
    if data is None:
        raise InputError(f"{folder / WORK / WORKER} is not there; the driver of the run writes it")
    if threading.current_thread() is threading.main_thread():
        for number in (
            signal.SIGTERM,
            signal.SIGUSR1,
        ):  # batch systems tell all processes of a job
            signal.signal(number, signal.SIG_IGN)
    environment.prepare(offline=bool(data["offline"]))
    from evomerge.candidate import Worker, WorkerSettings  # libraries read the environment once, on import

    try:
        settings = made(WorkerSettings, data["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / WORK / WORKER} was written by another version of evomerge than this worker's: {error}"
        ) from error
    if settings.prepared.folder is not None:  # where this machine sees it
        kept = replace(settings.prepared, folder=str(folder / Path(settings.prepared.folder).name))
        settings = replace(settings, prepared=kept)
    if settings.verification is not None:
        settings = replace(settings, verification=replace(settings.verification, folder=str(folder)))
    worker: typing.Callable[[Job], Outcome] = Worker(settings)
    return worker


def plain(value: Any) -> Any:
    """A value of dataclasses, tuples and mappings as JSON holds it."""
    if isinstance(value, Recipe):
        return value.to_json()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def made(kind: Any, data: Any) -> Any:
    """A value of some type from what :func:`plain` made of it; fields that are missing have their defaults.

    Raises:
        TypeError: If there are fields that the type does not have.
    """
    if data is None:
        return None
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return made(_meant(typing.get_args(kind), data), data)
    if kind is Recipe:
        return Recipe.from_json(data)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return typing.cast(Any, kind)(**{name: made(hints.get(name), value) for name, value in data.items()})
    if typing.get_origin(kind) is tuple:
        of, *others = typing.get_args(kind)
        same = others == [...]
        return tuple(made(of if same else (of, *others)[place], value) for place, value in enumerate(data))
    return data


def _meant(kinds: tuple[Any, ...], data: Any) -> Any:
    """The member of a union that a value is of: the dataclass that has its fields, else the only one."""
    fields = [(kind, {field.name for field in dataclasses.fields(kind)}) for kind in kinds if _is_dataclass(kind)]
    if isinstance(data, Mapping):
        for kind, names in fields:
            if names == data.keys():
                return kind
    others = [kind for kind in kinds if kind is not type(None)]
    return others[0] if len(others) == 1 else Any


def _is_dataclass(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) and kind is not Recipe

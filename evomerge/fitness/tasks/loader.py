"""Loads tasks with lm-eval, after their declarations have been checked."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from lm_eval.api.group import Group
from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.tasks._index import Entry
from lm_eval.tasks._yaml_loader import load_yaml

from evomerge.errors import InputError
from evomerge.fitness.settings import FitnessSettings
from evomerge.fitness.tasks import jsonl_task
from evomerge.fitness.tasks.checks import validate
from evomerge.fitness.tasks.checks.documents import check_items, is_declared
from evomerge.fitness.tasks.checks.fields import ANY_ERROR, first_line
from evomerge.fitness.tasks.code import recognition
from evomerge.fitness.tasks.code.stand_in import permitted
from evomerge.fitness.tasks.data_files import read_rows
from evomerge.fitness.tasks.task_index import DeclarationIndex


@dataclass(frozen=True)
class Loaded:
    """Tasks and groups as lm-eval has built them, in the order in which they were asked for.

    Args:
        tasks: Leaf tasks by name.
        groups: Groups by name.
        builtin: Names of the leaf tasks that come with lm-eval.
    """

    tasks: Mapping[str, Task]
    groups: Mapping[str, Group]
    builtin: frozenset[str]


def load(settings: FitnessSettings) -> Loaded:
    """Loads every task that the settings ask for.

    Nothing is fetched for data that lies on this machine. Code that tasks bring along runs: see ``isolated_rng``.

    Args:
        settings: What to load.

    Returns:
        The tasks.

    Raises:
        InputError: With everything that is wrong: unknown names, metrics, filters, missing or empty data.
    """
    settings.check()
    names = [task for task in settings.tasks if isinstance(task, str)]
    specs = [dict(task) for task in settings.tasks if not isinstance(task, str)]
    found = [problem for spec in specs for problem in jsonl_task.problems(spec)]
    index = DeclarationIndex(_paths(settings))
    wanted, unknown = index.find(names)
    found += unknown
    entries = list(index.closure(wanted))
    asked = [*(entry.name for entry in entries if entry.name in index.own), *(str(spec.get("task")) for spec in specs)]
    found += [problem for name in dict.fromkeys(asked) for problem in validate.name_problems(name)]
    with permitted(settings.code):
        for entry in entries:
            found += _prepare(entry, index, settings.code)
    if told := recognition.problem_of_setting(settings.code) if any("tests" in spec for spec in specs) else None:
        found += [f"task {spec.get('task')!r}: {told}" for spec in specs if "tests" in spec]
    folders = [folder if folder.is_dir() else folder.parent for folder in _paths(settings)]
    configs, wrong = _inline_configs(specs, folders) if not found else ([], [])
    if found := found + wrong:
        raise InputError(found)
    with _unseen(), permitted(settings.code):
        return _build([*wanted, *configs], index)


def forget_tables(repository: str) -> None:
    """Removes the tables that the datasets library made from a data set of the hub; it makes them again when asked.

    Args:
        repository: The data set's id.
    """
    shutil.rmtree(Path(datasets.config.HF_DATASETS_CACHE) / repository.replace("/", "___"), ignore_errors=True)


@contextlib.contextmanager
def _unseen() -> Iterator[None]:
    """Keeps the datasets library from reporting to its makers that a file of this machine was read."""
    reports = datasets.config.HF_UPDATE_DOWNLOAD_COUNTS
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    try:
        yield
    finally:
        datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = reports


def _paths(settings: FitnessSettings) -> list[Path]:
    return [Path(path).expanduser() for path in settings.task_path]


def _prepare(entry: Entry, index: DeclarationIndex, code: str) -> list[str]:
    """Resolves and checks an entry's configuration and puts it in the place of its file."""
    if entry.yaml_path is None:
        return []
    path = Path(entry.yaml_path)
    try:
        if told := recognition.problem(load_yaml(path, resolve_func=False), code):
            return [f"task {entry.name!r}: {told}"]  # its code would run some answer as it is imported
        config = recognition.with_metrics(load_yaml(path, resolve_func=True))
    except InputError as error:
        return [f"task {entry.name!r}: {problem}" for problem in error.problems]
    except ANY_ERROR as error:  # code of the task ran
        return [f"task {entry.name!r} ({path}): could not be read: {first_line(error)}"]
    entry.cfg, entry.yaml_path = config, None
    folder = path.parent if entry.name in index.own else None
    missing = validate.missing_parts(entry.name, config) if folder is not None else []
    parts = list(_declarations(entry.name, config))
    names = [name for name, _ in parts[1:]] if folder is not None else []
    missing += [problem for name in names for problem in validate.name_problems(name)]
    return missing + [problem for part in parts for problem in _part_problems(*part, folder)]


def _declarations(name: str, config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A configuration and, for a group, those that it declares for its members on the spot."""
    yield name, config
    members = config.get("task")
    for member in members if isinstance(members, list) else []:
        if isinstance(member, dict):
            yield from _declarations(str(member.get("group", member.get("task"))), member)


def _part_problems(name: str, config: dict[str, Any], folder: Path | None) -> list[str]:
    problems = validate.problems(name, config)
    if folder is not None:
        problems += [*validate.group_problems(name, config), *validate.unknown_keys(name, config)]
    if folder is not None and "dataset_path" in config:
        problems += validate.resolve_files(name, config, folder)
    return problems


def _inline_configs(
    specs: Sequence[Mapping[str, Any]], folders: Sequence[Path]
) -> tuple[list[dict[str, Any]], list[str]]:
    configs: list[dict[str, Any]] = []
    problems: list[str] = []
    for spec in specs:
        try:
            config = jsonl_task.config(spec, folders)
        except InputError as error:
            problems += error.problems
            continue
        config["custom_dataset"] = _rows_as_dataset(config.pop("rows"))
        problems += validate.problems(config["task"], config)
        configs.append(config)
    return configs, problems


def _rows_as_dataset(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Callable[..., dict[str, datasets.Dataset]]:
    def read(**_: Any) -> dict[str, datasets.Dataset]:
        return {split: datasets.Dataset.from_list([dict(row) for row in part]) for split, part in rows.items()}

    return read


def _build(wanted: Sequence[str | dict[str, Any]], index: DeclarationIndex) -> Loaded:
    tasks: dict[str, Task] = {}
    groups: dict[str, Group] = {}
    problems: list[str] = []
    for spec in wanted:
        name = spec if isinstance(spec, str) else str(spec["task"])
        try:
            loaded = index.manager.load([spec])
        except ANY_ERROR as error:  # data, templates and code of a task can fail in any way
            problems += _load_problems(name, error)
            continue
        if not loaded["tasks"]:
            problems.append(f"tasks: {name!r} has no tasks; list them in its file, as task: [NAME, ...]")
        for key, task in loaded["tasks"].items():
            if key in tasks:
                problems.append(f"tasks: {key!r} is asked for twice, alone or by a group; name it once")
            tasks[key] = task
        groups |= loaded["groups"]
    for name, task in tasks.items():
        problems += validate.kind_problems(name, task)
    if problems:
        raise InputError(problems)
    # A group's own members are named ``group::member``.
    own = {*index.own, *(spec["task"] for spec in wanted if isinstance(spec, dict))}
    return Loaded(tasks, groups, frozenset(name for name in tasks if not {name, name.split("::")[0]} & own))


def _load_problems(name: str, error: BaseException) -> list[str]:
    """Sentences about a task that lm-eval could not build, by what its data and documents say where they are there."""
    task = _unfinished(error)
    if task is not None and task.config is not None:
        name = task.config.task or name
        if told := _data_problems(name, task.config.dataset_path, task.config.dataset_kwargs):
            return told
        if hasattr(task, "features"):
            docs = list(task.task_docs)
            problems = check_items(task, name, docs).problems if is_declared(task) else []
            if problems or not docs:
                return problems or [f"task {name!r} has no items"]
    text = first_line(error)
    if isinstance(error, datasets.exceptions.DatasetGenerationError):
        return [f"task {name!r}: its data could not be read: {first_line(error.__cause__ or error)}"]
    if isinstance(error, ConnectionError | OSError | datasets.exceptions.DatasetsError):
        return [f"task {name!r}: its data could not be loaded ({text}); bring it to this machine or name a local file"]
    if isinstance(error, KeyError):
        return [f"task {name!r}: its data has no {error}; check the names of its splits and fields"]
    return [f"task {name!r} could not be loaded: {text}"]


def _unfinished(error: BaseException) -> ConfigurableTask | None:
    """The task whose making failed: lm-eval tries the first item while it makes a task, and drops both then."""
    trace = error.__traceback__
    while trace is not None:
        made = trace.tb_frame.f_locals.get("self")
        if isinstance(made, ConfigurableTask):
            return made
        trace = trace.tb_next
    return None


def _data_problems(name: str, loader: str | None, arguments: Mapping[str, Any] | None) -> list[str]:
    """Problems of the JSON files that a task reads, each with file and line; lm-eval's libraries name neither."""
    files = (arguments or {}).get("data_files") if loader == "json" else None
    paths: list[Any] = [*files.values()] if isinstance(files, Mapping) else [files]
    problems: list[str] = []
    for path in [inner for entry in paths for inner in (entry if isinstance(entry, list) else [entry])]:
        if path is not None and Path(str(path)).is_file():
            try:
                read_rows(Path(str(path)))
            except InputError as wrong:
                problems += [f"task {name!r}: {problem}" for problem in wrong.problems]
    return problems

"""Finds tasks by name and loads them with lm-eval: the user's own files first, the built-in ones when a name asks."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import yaml
from lm_eval.api.group import Group
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Entry, Kind, TaskIndex
from lm_eval.tasks._yaml_loader import load_yaml

from evomerge.errors import InputError, suggest
from evomerge.fitness import declared, inline
from evomerge.fitness.settings import FitnessSettings

_OTHER_FILES = ("__pycache__", ".ipynb_checkpoints")


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


@dataclass
class _Shelf:
    """Entries of task files: the user's own, and lm-eval's once they are needed."""

    manager: TaskManager
    own: dict[str, Path] = field(default_factory=dict)
    twice: dict[str, list[Path]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    @property
    def index(self) -> dict[str, Entry]:
        return self.manager.task_index


def load(settings: FitnessSettings) -> Loaded:
    """Loads every task that the settings ask for.

    Nothing is fetched for data that lies on this machine. Code that tasks bring along runs: see ``foreign_code``.

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
    found = [problem for spec in specs for problem in inline.problems(spec)]
    shelf = _open_shelf(settings, names)
    wanted, unknown = _resolve(names, shelf)
    found += unknown
    entries = list(_closure(wanted, shelf))
    for entry in entries:
        found += _prepare(entry, shelf)
    folders = [folder if folder.is_dir() else folder.parent for folder in _paths(settings)]
    configs, wrong = _inline_configs(specs, folders) if not found else ([], [])
    if found := found + wrong:
        raise InputError(found)
    return _build([*wanted, *configs], shelf)


def _paths(settings: FitnessSettings) -> list[Path]:
    return [Path(path).expanduser() for path in settings.task_path]


def _open_shelf(settings: FitnessSettings, names: Sequence[str]) -> _Shelf:
    shelf = _Shelf(TaskManager(include_defaults=False))
    files = [Path(name).expanduser() for name in names if _is_file(name)]
    for path in [*_task_files(_paths(settings)), *files]:
        _add(shelf, path)
    if all(_is_file(name) or _matches(name, shelf) for name in names):
        return shelf
    # Reading lm-eval's own index takes many seconds, so it waits until a name is not the user's own.
    own = dict(shelf.index)
    shelf.manager = TaskManager(include_defaults=True)
    shelf.index.update(own)
    return shelf


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _task_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
            continue
        found = [file for ending in ("yaml", "yml") for file in path.glob(f"**/*.{ending}")]
        yield from sorted(file for file in found if not set(file.parts) & set(_OTHER_FILES))


def _add(shelf: _Shelf, path: Path) -> None:
    """Puts what a file declares on the shelf; files that only others include declare nothing."""
    try:
        config = load_yaml(path, resolve_func=False)
    except (OSError, ValueError, yaml.YAMLError) as error:
        shelf.unreadable.append(f"{path}: not a readable task file ({_first_line(error)})")
        return
    declared_name = config.get("group", config.get("task")) if "class" not in config else config.get("task")
    if not isinstance(declared_name, str):
        return
    path = path.resolve()
    if shelf.own.setdefault(declared_name, path) != path:
        shelf.twice.setdefault(declared_name, [shelf.own[declared_name]]).append(path)
    TaskIndex.process_cfg(config, path, shelf.index)


def _matches(name: str, shelf: _Shelf) -> list[str]:
    if any(sign in name for sign in "*?"):
        return fnmatch.filter(sorted(shelf.index), name)
    return [name] if name in shelf.index else []


def _resolve(names: Sequence[str], shelf: _Shelf) -> tuple[list[str], list[str]]:
    wanted: list[str] = []
    problems: list[str] = []
    for name in names:
        if _is_file(name):
            path = Path(name).expanduser()
            own = [key for key, file in shelf.own.items() if file == path.resolve()]
            if not own:
                problems.append(f"tasks: {name!r} is not a file that declares a task")
            wanted += own
        elif matched := _matches(name, shelf):
            wanted += matched
        else:
            known = [*shelf.own, *shelf.index]
            problems.append(f"tasks: {name!r} is neither in task_path nor a task of lm-eval{suggest(name, known)}")
    if problems:
        problems += shelf.unreadable
    wanted = list(dict.fromkeys(wanted))
    for name in wanted:
        if name in shelf.twice:
            files = ", ".join(str(file) for file in shelf.twice[name])
            problems.append(f"tasks: {name!r} is declared more than once: {files}; keep one")
    return wanted, problems


def _closure(wanted: Sequence[str], shelf: _Shelf) -> Iterator[Entry]:
    """Entries of the wanted names and of everything that groups and tags among them contain."""
    queue, seen = list(wanted), set()
    while queue:
        name = queue.pop(0)
        if name in seen or name not in shelf.index:
            continue
        seen.add(name)
        entry = shelf.index[name]
        yield entry
        queue += sorted(entry.tags) if entry.kind is Kind.TAG else list(_members(entry.cfg or {}))


def _members(config: Mapping[str, Any]) -> Iterator[str]:
    members = config.get("task")
    for member in members if isinstance(members, list) else []:
        if isinstance(member, str):
            yield member
        elif isinstance(member, Mapping):
            yield str(member.get("group", member.get("task")))
            yield from _members(member)


def _prepare(entry: Entry, shelf: _Shelf) -> list[str]:
    """Resolves and checks an entry's configuration and puts it in the place of its file."""
    if entry.yaml_path is None:
        return []
    path = Path(entry.yaml_path)
    try:
        config = load_yaml(path, resolve_func=True)
    except Exception as error:  # code of the task ran
        return [f"task {entry.name!r} ({path}): could not be read: {type(error).__name__}: {_first_line(error)}"]
    own = entry.name in shelf.own
    problems = declared.problems(entry.name, config)
    if own and entry.kind is not Kind.GROUP:
        problems += declared.resolve_files(entry.name, config, path.parent)
    entry.cfg, entry.yaml_path = config, None
    return problems


def _inline_configs(
    specs: Sequence[Mapping[str, Any]], folders: Sequence[Path]
) -> tuple[list[dict[str, Any]], list[str]]:
    configs: list[dict[str, Any]] = []
    problems: list[str] = []
    for spec in specs:
        try:
            config = inline.config(spec, folders)
        except InputError as error:
            problems += error.problems
            continue
        config["custom_dataset"] = _rows_as_dataset(config.pop("rows"))
        problems += declared.problems(config["task"], config)
        configs.append(config)
    return configs, problems


def _rows_as_dataset(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> Callable[..., dict[str, datasets.Dataset]]:
    def read(**_: Any) -> dict[str, datasets.Dataset]:
        return {split: datasets.Dataset.from_list([dict(row) for row in part]) for split, part in rows.items()}

    return read


def _build(wanted: Sequence[str | dict[str, Any]], shelf: _Shelf) -> Loaded:
    tasks: dict[str, Task] = {}
    groups: dict[str, Group] = {}
    problems: list[str] = []
    for spec in wanted:
        name = spec if isinstance(spec, str) else str(spec["task"])
        try:
            loaded = shelf.manager.load([spec])
        except Exception as error:  # data, templates and code of a task can fail in any way
            problems.append(_load_problem(name, error))
            continue
        for key, task in loaded["tasks"].items():
            if key in tasks:
                problems.append(f"tasks: {key!r} is asked for twice, alone or by a group; name it once")
            tasks[key] = task
        groups |= loaded["groups"]
    for name, task in tasks.items():
        problems += declared.kind_problems(name, task)
    if problems:
        raise InputError(problems)
    return Loaded(tasks, groups, frozenset(tasks) - set(shelf.own) - {s["task"] for s in wanted if isinstance(s, dict)})


def _load_problem(name: str, error: Exception) -> str:
    text = f"{type(error).__name__}: {_first_line(error)}"
    if isinstance(error, IndexError):
        return f"task {name!r} has no items"
    if isinstance(error, ConnectionError | OSError | datasets.exceptions.DatasetsError):
        return f"task {name!r}: its data could not be loaded ({text}); bring it to this machine or name a local file"
    if isinstance(error, KeyError):
        return f"task {name!r}: its data has no {error}; check the names of its splits and fields"
    return f"task {name!r} could not be loaded: {text}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

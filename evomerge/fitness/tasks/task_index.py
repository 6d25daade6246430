"""Where tasks are declared: the user's own task files, and those that come with lm-eval."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lm_eval.tasks
import yaml
from lm_eval.tasks import TaskManager
from lm_eval.tasks._index import Entry, Kind, TaskIndex
from lm_eval.tasks._yaml_loader import load_yaml

from evomerge.errors import InputError, suggest
from evomerge.fitness.tasks.data_files import read_text

_OTHER_FOLDERS = ("__pycache__", ".ipynb_checkpoints")
_DECLARED = re.compile(r"^['\"]?(?:task|group|tag)['\"]?\s*:\s*['\"]?([\w.:+-]+)", re.MULTILINE)


class DeclarationIndex:
    """Declarations by name, the user's own before lm-eval's.

    lm-eval's own index reads every one of its many thousand files; here only those are read that mention a wanted name.

    Args:
        paths: The user's folders and files.

    Attributes:
        manager: lm-eval's own, which builds tasks from these declarations.
        own: File of each of the user's names.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.manager = TaskManager(include_defaults=False)
        self.own: dict[str, Path] = {}
        self._twice: dict[str, list[Path]] = {}
        self._unreadable: list[str] = []
        self._texts: dict[Path, str] = {}
        for path in _task_files(paths):
            self._add_own(path)

    @property
    def entries(self) -> dict[str, Entry]:
        """lm-eval's entry of each name."""
        return self.manager.task_index

    def find(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Resolves what a user asks for.

        Args:
            names: Names, paths of task files, and patterns with ``*``, which mean the user's own tasks if one fits.

        Returns:
            Names of declarations, each once, and problems.
        """
        wanted: list[str] = []
        problems: list[str] = []
        for name in names:
            found = self._file(name) if is_file(name) else self._matches(name)
            if not found:
                what = (
                    "is not a file that declares a task"
                    if is_file(name)
                    else "is neither in task_path nor a task of lm-eval"
                )
                problems.append(f"tasks: {name!r} {what}{suggest(name, self._known())}")
            wanted += found
        wanted = list(dict.fromkeys(wanted))
        if problems:
            problems += self._unreadable
        for name in wanted:
            if name in self._twice:
                files = ", ".join(str(file) for file in self._twice[name])
                problems.append(f"tasks: {name!r} is declared more than once: {files}; keep one")
        return wanted, problems

    def closure(self, wanted: Sequence[str]) -> Iterator[Entry]:
        """Entries of the wanted names and of everything that groups and tags among them contain."""
        level, seen = list(wanted), set(wanted)
        while level:
            self._add_builtin(level)
            entries = [self.entries[name] for name in level if name in self.entries]
            yield from entries
            inside = [name for entry in entries for name in _members(entry)]
            level = [name for name in dict.fromkeys(inside) if name not in seen]
            seen.update(level)

    def _file(self, name: str) -> list[str]:
        path = Path(name).expanduser()
        if path.is_file():
            self._add_own(path)
        return [key for key, file in self.own.items() if file == path.resolve()]

    def _matches(self, name: str) -> list[str]:
        if not any(sign in name for sign in "*?"):
            self._add_builtin([name])
            return [name] if name in self.entries else []
        fitting = fnmatch.filter(sorted(self.own), name) or fnmatch.filter(sorted(self._known()), name)
        # A group and its tasks may both fit; they are asked once.
        inside = {member for entry in self.closure(fitting) for member in _members(entry)}
        return [entry for entry in fitting if entry in self.entries and entry not in inside]

    def _add_own(self, path: Path) -> None:
        """Adds the declaration of a file; files that only others include declare nothing."""
        try:
            config = load_yaml(path, resolve_func=False)
        except (OSError, ValueError, yaml.YAMLError) as error:
            self._unreadable.append(f"{path}{_yaml_reason(path, error)}")
            return
        name = config.get("group", config.get("task")) if "class" not in config else config.get("task")
        if not isinstance(name, str):
            if isinstance(name, int | float):
                self._unreadable.append(f"{path}: its name {name!r} is not a text; put quotes around it")
            return
        if name == config.get("group") and isinstance(task := config.get("task"), str):
            self._unreadable.append(
                f"{path}: the group {name!r} names one task as a text; write task: [{task}], or, if the file declares "
                f"that task, tag: {name} instead of the group"
            )
            return
        path = path.resolve()
        if self.own.setdefault(name, path) != path:
            self._twice.setdefault(name, [self.own[name]]).append(path)
        TaskIndex.process_cfg(config, path, self.entries)

    def _add_builtin(self, names: Iterable[str]) -> None:
        missing = {name for name in names if name not in self.entries}
        if not missing:
            return
        found: dict[str, Entry] = {}
        for path in self._mentioning(missing):
            try:
                TaskIndex.process_cfg(load_yaml(path, resolve_func=False), path, found)
            except (OSError, ValueError, KeyError, yaml.YAMLError):
                continue  # a file that others include, or one of lm-eval's that it cannot read itself
        # Other tags that these files carry are incomplete: more files may carry them.
        self.entries.update({name: entry for name, entry in found.items() if name in missing})

    def _mentioning(self, names: Iterable[str]) -> list[Path]:
        """Files of lm-eval in which one of the names occurs, in themselves or in a file that they include."""
        texts = self._builtin_texts()
        word = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(names)))})(?![\w-])")
        found = {path for path, text in texts.items() if word.search(text)}
        including = {path: text for path, text in texts.items() if "include:" in text}
        fresh = found
        while fresh:
            files = {path.name for path in fresh}
            fresh = {path for path, text in including.items() if path not in found and _includes(text, files)}
            found |= fresh
        return [path for path in texts if path in found]

    def _builtin_texts(self) -> Mapping[Path, str]:
        if not self._texts:
            folder = Path(lm_eval.tasks.__file__).parent
            files = sorted(folder.glob("**/*.yaml"), key=lambda path: path.as_posix())
            self._texts = {path: path.read_text(encoding="utf-8") for path in files}
        return self._texts

    def _known(self) -> set[str]:
        declared = (name for text in self._builtin_texts().values() for name in _DECLARED.findall(text))
        return {*self.entries, *declared}


def _yaml_reason(path: Path, error: Exception) -> str:
    """Ends a sentence about a task file with the line and the reason why it cannot be read."""
    mark, reason = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and reason:
        return f", line {mark.line + 1}: not a readable task file: {reason}"
    try:
        read_text(path)
    except InputError as encoding:
        return encoding.problems[0].removeprefix(str(path))
    return f": not a readable task file ({(str(error).strip() or type(error).__name__).splitlines()[0]})"


def _includes(text: str, files: set[str]) -> bool:
    return any(line.strip(" -'\"").rsplit("/", 1)[-1] in files for line in text.replace("include:", "").splitlines())


def is_file(name: str) -> bool:
    """Whether a task is named by its file."""
    return name.endswith((".yaml", ".yml"))


def _task_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
            continue
        found = [file for ending in ("yaml", "yml") for file in path.glob(f"**/*.{ending}")]
        yield from sorted(file for file in found if not set(file.parts) & set(_OTHER_FOLDERS))


def _members(entry: Entry) -> list[str]:
    return sorted(entry.tags) if entry.kind is Kind.TAG else list(_named(entry.cfg or {}))


def _named(config: Mapping[str, Any]) -> Iterator[str]:
    members = config.get("task")
    for member in members if isinstance(members, list) else []:
        if isinstance(member, str):
            yield member
        elif isinstance(member, Mapping):
            yield str(member.get("group", member.get("task")))
            yield from _named(member)

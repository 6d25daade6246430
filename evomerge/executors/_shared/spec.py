"""The declaration of an executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.executors._shared.protocol import Executor, MakeWorker
from evomerge.options import Option, problems, with_defaults
from evomerge.settings import setting

__all__ = ["ExecutorSettings", "ExecutorSpec"]


def _names() -> tuple[str, ...]:
    from evomerge import executors  # the registry, which imports this file

    return executors.names()


@dataclass(frozen=True)
class ExecutorSettings:
    """The user's choice of an executor.

    Attributes:
        name: Name of the executor.
        workers: Number of workers, for executors that have such a number; None for the executor's own default.
        options: Further options of the executor.
    """

    name: str = field(default="local", metadata=setting("where candidates are scored", choices=_names))
    workers: int | None = field(
        default=None, metadata=setting("how many processes; null: the executor's own number", low=1)
    )
    options: Mapping[str, Any] = field(default_factory=dict, metadata=setting("further settings of the executor"))


@dataclass(frozen=True)
class ExecutorSpec:
    """One executor, as its file declares it.

    Attributes:
        name: Its file's name.
        title: Where jobs run, one line.
        make: Makes the executor from a factory of workers and complete options.
        options: Name to declaration. The number of workers, where there is one, is the option ``workers``.
        in_process: Whether workers run in the calling process and may share its objects; the factory of workers must
            be picklable otherwise.
        local_processes: Whether each worker is a process of this machine, so that the suite of those can watch and kill
            them.
        needs_model: Whether it calls workers at all; one that looks answers up does not.
        identity: The part of complete options that changes outcomes, as JSON; None where outcomes follow from
            jobs alone, as they must where workers are called.
        check: Finds problems of complete options that declarations cannot tell.
    """

    name: str
    title: str
    make: Callable[[MakeWorker, Mapping[str, Any]], Executor]
    options: Mapping[str, Option] = field(default_factory=dict)
    in_process: bool = False
    local_processes: bool = False
    needs_model: bool = True
    identity: Callable[[Mapping[str, Any]], Any] | None = None
    check: Callable[[Mapping[str, Any]], list[str]] | None = None

    def defaults(self) -> dict[str, Any]:
        """Name, number of workers and further options as they are where the user gives none."""
        others = self.complete({})
        workers = {"workers": others.pop("workers")} if "workers" in others else {}
        return {"name": self.name, **workers, "options": others}

    def problems(self, options: Mapping[str, Any]) -> list[str]:
        """Problems of options, one sentence each."""
        found = problems(f"executor {self.name}", self.options, options)
        if found or self.check is None:
            return found
        return [f"executor {self.name}: {problem}" for problem in self.check(self.complete(options))]

    def given(self, settings: ExecutorSettings) -> dict[str, Any]:
        """The options that settings give, the number of workers among them where there is one."""
        counted = "workers" in self.options and settings.workers is not None
        return ({"workers": settings.workers} if counted else {}) | dict(settings.options)

    def workers(self, settings: ExecutorSettings) -> int:
        """The number of workers that settings come to; 1 for executors without such a number."""
        return int(self.complete(self.given(settings)).get("workers", 1))

    def complete(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with every default filled in."""
        return with_defaults(self.options, options)

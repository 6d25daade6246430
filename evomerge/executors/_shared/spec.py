"""The declaration of an executor."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.executors._shared.attempts import RETRIES
from evomerge.executors._shared.protocol import Executor, MakeWorker
from evomerge.options import Option, problems, with_defaults
from evomerge.settings import setting

__all__ = ["SHARED", "ExecutorSettings", "ExecutorSpec"]

# Options that are keys of their own, beside executor.options; an executor has those that it declares.
SHARED = ("workers", "retries", "timeout", "memory")


def _names() -> tuple[str, ...]:
    from evomerge import executors  # the registry, which imports this file

    return executors.names()


@dataclass(frozen=True)
class ExecutorSettings:
    """The user's choice of an executor.

    Attributes:
        name: Name of the executor.
        workers: Number of workers, for executors that have such a number; None for the executor's own default.
        retries: How often a job that was lost with its worker's machine is tried again.
        timeout: Seconds after which a candidate that is being scored has failed; None for no limit.
        memory: Most bytes of a worker's own memory; a candidate at which it has more has failed. None for no limit.
        options: Further options of the executor.
    """

    name: str = field(default="local", metadata=setting("where candidates are scored", choices=_names))
    workers: int | None = field(
        default=None, metadata=setting("how many processes; null: the executor's own number", low=1)
    )
    retries: int = field(
        default=RETRIES,
        metadata=setting(
            "how often a candidate is tried again when its worker's machine was lost or taken away", low=0
        ),
    )
    timeout: float | None = field(
        default=None,
        metadata=setting(
            "seconds after which a candidate that is being scored has failed", form="positive number", low=0
        ),
    )
    memory: int | None = field(
        default=None,
        metadata=setting(
            "most memory of a worker, such as 8GiB; a candidate that needs more has failed", form="bytes", low=1
        ),
    )
    options: Mapping[str, Any] = field(default_factory=dict, metadata=setting("further settings of the executor"))


@dataclass(frozen=True)
class ExecutorSpec:
    """One executor, as its file declares it.

    Attributes:
        name: Its file's name.
        title: Where jobs run, one line.
        make: Makes the executor from a factory of workers and complete options.
        options: Name to declaration. Those named ``workers``, ``retries``, ``timeout`` and ``memory`` are given by the
            settings of these names, and ``device`` by the device that models run on (``cpu``, ``cuda``, ``cuda:1``).
        in_process: Whether workers run in the calling process and may share its objects; the factory of workers must
            be picklable otherwise.
        local_processes: Whether each worker is a process of this machine, so that the suite of those can watch and kill
            them.
        external: Whether workers are started by others and join it: a run fills in the option ``folder`` with the place
            where they meet.
        needs_model: Whether it calls workers at all; one that looks answers up does not.
        identity: The part of complete options that changes outcomes, as JSON; None where outcomes follow from
            jobs alone, as they must where workers are called.
        check: Finds problems of complete options that declarations cannot tell.
        count: The number of workers that complete options come to, where the option ``workers`` may be None.
        library: A library that it stands on and that evomerge does not require, which its extra of that name installs.
    """

    name: str
    title: str
    make: Callable[[MakeWorker, Mapping[str, Any]], Executor]
    options: Mapping[str, Option] = field(default_factory=dict)
    in_process: bool = False
    local_processes: bool = False
    external: bool = False
    needs_model: bool = True
    identity: Callable[[Mapping[str, Any]], Any] | None = None
    check: Callable[[Mapping[str, Any]], list[str]] | None = None
    count: Callable[[Mapping[str, Any]], int] | None = None
    library: str | None = None

    def defaults(self) -> dict[str, Any]:
        """Name, shared settings and further options as they are where the user gives none."""
        own = self.complete({})
        shared = {name: own.pop(name) for name in SHARED if name in own}
        for filled in ("device", "folder"):
            own.pop(filled, None)
        return {"name": self.name, **shared, "options": own}

    def problems(self, options: Mapping[str, Any]) -> list[str]:
        """Problems of options, one sentence each; or that the library it stands on is not installed."""
        if self.library is not None and importlib.util.find_spec(self.library) is None:
            remedy = f"pip install 'evomerge[{self.library}]'"
            return [f"executor {self.name}: {self.library} is not installed; {remedy} installs it"]
        found = problems(f"executor {self.name}", self.options, options)
        if found or self.check is None:
            return found
        return [f"executor {self.name}: {problem}" for problem in self.check(self.complete(options))]

    def given(self, settings: ExecutorSettings, device: str = "cpu") -> dict[str, Any]:
        """The options that settings give, those of shared names and the device among them where it declares them."""
        shared = {name: getattr(settings, name) for name in SHARED} | {"device": device}
        given = {name: value for name, value in shared.items() if name in self.options and value is not None}
        return given | dict(settings.options)

    def misplaced(self, settings: ExecutorSettings) -> list[str]:
        """Shared settings that the user gave and that this executor has no use for, one sentence each."""
        from evomerge import executors  # the registry, which imports this file

        plain = ExecutorSettings()
        found = []
        for name in SHARED:
            value = getattr(settings, name)
            if name in self.options or value == getattr(plain, name) or (name, value) == ("workers", 1):
                continue
            having = " or ".join(other for other in executors.names() if name in executors.load(other).options)
            what = f"has one; for {value} write" if name == "workers" else "has no such setting; it is one of"
            found.append(f"executor.{name}: {self.name} {what} executor={'processes' if name == 'workers' else having}")
        return found

    def workers(self, settings: ExecutorSettings, device: str = "cpu") -> int:
        """The number of workers that settings come to; 1 for executors without such a number."""
        options = self.complete(self.given(settings, device))
        return self.count(options) if self.count is not None else int(options.get("workers", 1))

    def complete(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with every default filled in."""
        return with_defaults(self.options, options)

"""Executors: where jobs run. The folder is the registry, a file's name its executor's name.

An executor takes jobs and hands back results (`Executor`); it knows nothing of models or of search. A worker is made
where it runs, by a factory without arguments, and every outcome depends on its job alone, so the number of workers
changes nothing but the time.

A new executor is one file, ``evomerge/executors/myexecutor.py``, with ``EXECUTOR = ExecutorSpec(...)``: its name, its
options with defaults, ranges and help, and ``make``, which imports the heavy libraries and makes the executor. `call`
is the way to call a worker, so that an exception is one failed candidate. Names with a leading underscore are shared
parts. Nothing else is edited: `load` finds the file, the command line takes ``executor.name=myexecutor``, and
``tests/contracts`` runs the contract (:mod:`evomerge.contracts.executor`) on it. One that calls no workers
(``needs_model=False``) has a test of its own, which inherits the contract and says which jobs it can answer. One that
stands on a library that evomerge does not require (``library``) has an extra of that name, and its own tests too.
"""

from __future__ import annotations

from typing import Any

from evomerge.errors import InputError
from evomerge.executors._shared.protocol import (
    Executor,
    ExecutorError,
    MakeWorker,
    Result,
    Worker,
    WorkerState,
    call,
    run,
)
from evomerge.executors._shared.spec import SHARED, ExecutorSettings, ExecutorSpec
from evomerge.registry import Registry

__all__ = [
    "SHARED",
    "Executor",
    "ExecutorError",
    "ExecutorSettings",
    "ExecutorSpec",
    "MakeWorker",
    "Result",
    "Worker",
    "WorkerState",
    "call",
    "load",
    "make",
    "names",
    "run",
]

_REGISTRY = Registry[ExecutorSpec](__name__, __path__, "EXECUTOR", "executor")
names = _REGISTRY.names
load = _REGISTRY.load


def make(name: str, make_worker: MakeWorker, /, **options: Any) -> Executor:
    """Makes an executor.

    Args:
        name: One of `names`.
        make_worker: Makes a worker where it runs.
        **options: Its options; those left out have their defaults.

    Raises:
        InputError: If the name or an option is unknown, or a value is out of range.
    """
    spec = load(name)
    problems = spec.problems(options)
    if problems:
        raise InputError(problems)
    return spec.make(make_worker, spec.complete(options))

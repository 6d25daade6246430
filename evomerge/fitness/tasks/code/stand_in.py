"""A module in the place of the ``evaluate`` library, whose ``code_eval`` is ours.

The library's own comes from the network and runs answers with this process's rights, as soon as a task that uses it is
imported. Everything else of the library is handed on, and the library imported only then: it takes seconds.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from typing import Any

from evomerge.fitness.tasks.code import permission
from evomerge.fitness.tasks.code.pass_at_k import CODE_EVAL

_LIBRARY = "evaluate"


class _StandIn(types.ModuleType):
    """The library as tasks see it."""

    def __init__(self) -> None:
        super().__init__(_LIBRARY)
        self.__spec__ = ModuleSpec(_LIBRARY, None)

    def load(self, path: str, *arguments: Any, **options: Any) -> Any:
        """The metric of a name: ours, or what the library has under it."""
        if path != CODE_EVAL.name:
            return _library().load(path, *arguments, **options)
        permission.demand()
        return CODE_EVAL

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)  # those who look through all modules need not import this one
        return getattr(_library(), name)


STAND_IN = _StandIn()


def _library() -> Any:
    standing = sys.modules.pop(_LIBRARY) if sys.modules.get(_LIBRARY) is STAND_IN else None
    try:
        return importlib.import_module(_LIBRARY)
    finally:
        if standing is not None:
            sys.modules[_LIBRARY] = standing


@contextlib.contextmanager
def permitted(setting: str) -> Iterator[None]:
    """Lets answers be run in this block, or not, and puts our ``code_eval`` into the place of the library's.

    Args:
        setting: ``fitness.code``.
    """
    before = sys.modules.get(_LIBRARY)
    sys.modules[_LIBRARY] = STAND_IN
    try:
        with permission.given(setting):
            yield
    finally:
        if before is not None:
            sys.modules[_LIBRARY] = before
        else:
            del sys.modules[_LIBRARY]

"""evomerge: evolves merges of language models.

Several fine-tuned checkpoints of one architecture go in; a search over per-layer merge coefficients, scored on subsets
of lm-eval tasks, gives a Pareto front of merged models with held-out scores. Any of them can be exported as a model
folder.

    >>> import evomerge
    >>> run = evomerge.search(models=["A", "B"], base="C", tasks=["t1", "t2"], task_path=["tasks"], evaluations=200)
    >>> run.front[0].test_scores
    >>> run.export("knee", "merged")

Everything else has the name of its verb: ``merge``, ``audit``, ``collect``, ``transform``, ``build``, ``condense``,
``layers``. All are imported when they are first asked for, since most of them load torch.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evomerge import statistics
    from evomerge.api import Run, as_mergekit, audit, build, collect, condense, layers, merge, search, transform
    from evomerge.run.recipes import schedules

__all__ = [
    "Run",
    "__version__",
    "as_mergekit",
    "audit",
    "build",
    "collect",
    "condense",
    "layers",
    "merge",
    "schedules",
    "search",
    "statistics",
    "transform",
]
_VERBS = ("Run", "as_mergekit", "audit", "build", "collect", "condense", "layers", "merge", "transform")
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports the Python interface on first use."""
    if name in _VERBS:
        from evomerge import api

        return getattr(api, name)
    if name == "schedules":
        from evomerge.run.recipes import schedules

        return schedules
    if name == "statistics":
        return importlib.import_module("evomerge.statistics")
    raise AttributeError(f"module 'evomerge' has no attribute {name!r}")


class _Package(ModuleType):
    """This package, where ``search`` stays the function although a subpackage has the same name.

    Importing a subpackage sets it as an attribute of its package, which would hide the function from the first search
    on. ``from evomerge.search import ...`` does not go through the attribute.
    """

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *__all__})

    @property
    def search(self) -> Any:
        from evomerge import api

        return api.search

    @search.setter
    def search(self, subpackage: ModuleType) -> None:
        pass


sys.modules[__name__].__class__ = _Package

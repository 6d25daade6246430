"""evomerge: evolves merges of language models.

Several fine-tuned checkpoints of one architecture go in; a search over per-layer merge coefficients, scored on subsets
of lm-eval tasks, gives a Pareto front of merged models with held-out scores. Any of them can be exported as a model
folder.

    >>> import evomerge
    >>> run = evomerge.search(models=["A", "B"], base="C", tasks=["t1", "t2"], task_path=["tasks"], evaluations=200)
    >>> run.front[0].test_scores
    >>> run.export("knee", "merged")

``search``, ``merge`` and ``Run`` are imported when they are first asked for, since they load torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evomerge.app.api import Run, merge, search

__all__ = ["Run", "__version__", "merge", "search"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports the Python interface on first use."""
    if name in ("Run", "merge", "search"):
        from evomerge.app import api

        return getattr(api, name)
    raise AttributeError(f"module 'evomerge' has no attribute {name!r}")

"""Allocation: which of the search items the candidates of a batch are asked, and which of these are asked more.

A *window* is what one batch is asked, the same for all its candidates; a *policy* (`policies`) chooses it from the
answers so far. Within a batch a *race* (`races`) asks the window in rungs and decides who goes on. What candidates are
told is an estimate that is comparable within the batch (`told`); between batches candidates are compared by all that
they have answered (`Scores.overall`), as an estimator of :mod:`evomerge.analysis.estimators` sees it (`pooled`). Items
that belong together are asked together: in windows, rungs and tests clusters take the place of items. Policies and
races are pure functions of arrays, so they run on recorded tables as well as in a search.
"""

from evomerge.search.allocation.history import History, TaskAnswers
from evomerge.search.allocation.settings import MEAN, AllocationSettings
from evomerge.search.allocation.window import Choice, Prefix, Window

__all__ = ["MEAN", "AllocationSettings", "Choice", "History", "Prefix", "TaskAnswers", "Window"]

"""Windows of a search, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evomerge.analysis.allocation.sampling import simple
from evomerge.evaluation import PYTHON
from evomerge.search.allocation import policies
from evomerge.search.allocation.growth import grown
from evomerge.search.allocation.history import History, TaskAnswers
from evomerge.search.allocation.settings import AllocationSettings
from evomerge.search.allocation.window import Choice, Window

__all__ = ["Allocator", "random_of"]


def random_of(seed: int, *purpose: str | int) -> np.random.Generator:
    """The random generator of one purpose; different purposes of one seed are independent."""
    return np.random.default_rng([seed, *"/".join(map(str, purpose)).encode()])


class Allocator:
    """Chooses the window of each batch: a function of the settings and of the records so far.

    Args:
        settings: Policy, sizes, growth.
        items: Task to all items that may be asked; functions of the whole model are asked always.
    """

    def __init__(self, settings: AllocationSettings, items: Mapping[str, tuple[str, ...]]) -> None:
        self.pool = {task: ids for task, ids in items.items() if task != PYTHON and ids}
        self._always = {task: ids for task, ids in items.items() if task == PYTHON}
        self._settings = settings
        self._policy = policies.load(settings.policy)
        self._options = self._policy.complete(settings.options)

    def window(self, history: History) -> Window:
        """The items of the next batch."""
        choices = {task: self._choice(task, history) for task in self.pool}
        return Window(self.pool, choices, self._always)

    def _choice(self, task: str, history: History) -> Choice:
        answers = history.tasks[task]
        size = self._size(answers)
        batch = history.batch if self._policy.every_batch else 0
        random = random_of(self._settings.seed, "window", task, batch)
        if size >= answers.pool:
            order = random_of(self._settings.seed, "order", task, history.batch).permutation(answers.pool)
            return Choice(order, np.ones(answers.pool))  # a race begins with other items in every batch
        if not np.isfinite(answers.values).any():  # of a task that no objective is about
            return Choice(simple(random, np.arange(answers.pool), size), np.full(answers.pool, size / answers.pool))
        return self._policy.choose(answers, size, self._options, random)

    def _size(self, answers: TaskAnswers) -> int:
        start = self._settings.items
        if start is None or (self._policy.probe and not answers.windows):
            return answers.pool
        first = 1 if self._policy.probe else 0  # the probe is no window that others grow from
        if self._settings.growth == "none" or len(answers.windows) <= first:
            return min(start, answers.pool)
        last = answers.windows[-1]
        now = answers.values if answers.current is None else answers.values[answers.current]
        return grown(now[:, last], start, len(last), answers.pool)

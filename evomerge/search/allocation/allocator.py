"""Windows of a search, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from evomerge.analysis.allocation.sampling import simple
from evomerge.analysis.clusters import Clusters
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
        clusters: Cluster of each item that belongs to one: windows take whole clusters.

    Attributes:
        pool: Task to its items.
        codes: Task to the cluster of each of its items, counted from 0; only tasks where some belong together.
    """

    def __init__(
        self, settings: AllocationSettings, items: Mapping[str, tuple[str, ...]], clusters: Mapping[str, str]
    ) -> None:
        self.pool = {task: ids for task, ids in items.items() if task != PYTHON and ids}
        found = {
            task: Clusters.of([clusters.get(item, item) for item in ids], len(ids)) for task, ids in self.pool.items()
        }
        self.codes = {task: own.codes for task, own in found.items() if own is not None}
        self._always = {task: ids for task, ids in items.items() if task == PYTHON}
        self._settings = settings
        self._policy = policies.load(settings.acting)
        self._options = self._policy.complete(settings.options)

    def window(self, history: History) -> Window:
        """The items of the next batch."""
        choices = {task: self._choice(task, history) for task in self.pool}
        return Window(self.pool, choices, self._always)

    def _choice(self, task: str, history: History) -> Choice:
        answers, codes, wanted = history.tasks[task], self.codes.get(task), self._settings.items
        if codes is None:
            return self._chosen(task, answers, wanted, history.batch)
        grouped = answers.by_cluster(codes)
        if wanted is not None:  # as many clusters as hold so many items on average
            wanted = max(round(wanted * grouped.pool / answers.pool), 1)
        return self._chosen(task, grouped, wanted, history.batch).opened(codes)

    def _chosen(self, task: str, answers: TaskAnswers, wanted: int | None, batch: int) -> Choice:
        """Chooses among items, or among clusters as if they were items.

        Args:
            task: The task.
            answers: Its answers so far.
            wanted: Size of the first window; None for all.
            batch: Number of the batch.
        """
        size = self._size(answers, wanted)
        random = random_of(self._settings.seed, "window", task, batch if self._policy.every_batch else 0)
        if size >= answers.pool:
            order = random_of(self._settings.seed, "order", task, batch).permutation(answers.pool)
            return Choice(order, np.ones(answers.pool))  # a race begins with other items in every batch
        if not np.isfinite(answers.values).any():  # of a task that no objective is about
            return Choice(simple(random, np.arange(answers.pool), size), np.full(answers.pool, size / answers.pool))
        return self._policy.choose(answers, size, self._options, random)

    def _size(self, answers: TaskAnswers, start: int | None) -> int:
        if start is None or (self._policy.probe and not answers.windows):
            return answers.pool
        first = 1 if self._policy.probe else 0  # the probe is no window that others grow from
        if self._settings.growth == "none" or len(answers.windows) <= first:
            return min(start, answers.pool)
        last = answers.windows[-1]
        now = answers.values if answers.current is None else answers.values[answers.current]
        return grown(now[:, last], start, len(last), answers.pool)

"""A recorded table as a landscape: scores of any genome, smoothed from what recorded merges answered.

The mean of neighbours, as ``executor=recorded`` interpolates, is flat between them and has its best at one of them:
there random search is as good as any other. Kernel regression foretells each recorded merge from the others to within 2
to 3 points of accuracy (root mean square), where merges differ by 7 to 12 (standard deviation).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evomerge.executors._shared.response_table import read_table

__all__ = ["TASKS", "Table"]

Array = NDArray[np.float64]
TASKS = ("exam_a", "exam_b")
_LENGTH, _RIDGE = 2.0, 1e-3  # of the kernel; near the best for each of the tables


class Table:
    """A table of the example's family, whose genes are its merges' weights.

    Args:
        folder: Of the table.
    """

    def __init__(self, folder: Path) -> None:
        table = read_table(folder)
        merges = [row for row, one in enumerate(table.candidates) if one.genome]
        rows = merges + [row for row, one in enumerate(table.candidates) if not one.genome]
        self.name = folder.name
        self.genomes: Array = np.array([table.candidates[row].genome for row in merges])
        self._answers: dict[str, dict[str, Array]] = {}
        for split in ("search", "test"):
            self._answers[split] = {}
            for task in TASKS:
                of_task = [item.item for item in table.items if (item.task, item.split) == (task, split)]
                asked = [table.place[task, item] for item in of_task]
                self._answers[split][task] = table.values[task]["acc"][rows][:, asked]

    @property
    def n_var(self) -> int:
        """Number of genes."""
        return int(self.genomes.shape[1])

    @property
    def starts(self) -> Array:
        """The average of the experts and the sum of their deltas, at weights of 0 to 1.5."""
        return np.stack([np.full(self.n_var, 0.5 / 1.5), np.full(self.n_var, 1.0 / 1.5)])

    def means(self, split: str, items: int | None = None, random: np.random.Generator | None = None) -> Array:
        """Accuracies of the recorded models, the merges, then base, experts and their average.

        Args:
            split: Of the items.
            items: How many of each task.
            random: Draws them; None for all of the split.

        Returns:
            ``(merges + 4, 2)``.
        """
        found = []
        for answers in self._answers[split].values():
            drawn = answers if random is None else answers[:, random.permutation(answers.shape[1])[:items]]
            found.append(drawn.mean(axis=1))
        return np.stack(found, axis=1)

    def landscape(self, means: Array) -> Callable[[Array], Array]:
        """A function from a genome to its accuracies, ``(2,)``: kernel regression with a Matern kernel of 5/2."""
        means = means[: len(self.genomes)]
        level = means.mean(axis=0)
        kernel = np.array([self._near(x) for x in self.genomes])
        weights = np.linalg.solve(kernel + _RIDGE * np.eye(len(kernel)), means - level)
        return lambda x: np.clip(self._near(x) @ weights + level, 0.0, 1.0)

    def _near(self, x: Array) -> Array:
        """The kernel between a genome and each recorded one."""
        far = np.sqrt(5.0 * ((self.genomes - x) ** 2).sum(axis=1)) / _LENGTH
        return np.asarray(np.exp(-far) * (1.0 + far + far**2 / 3.0))

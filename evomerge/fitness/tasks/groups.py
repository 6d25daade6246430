"""Scores of task groups, as lm-eval aggregates them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lm_eval.api.group import Group

from evomerge.fitness.tasks.judging import group_digest


class Groups:
    """The groups of a run.

    Args:
        groups: By name, as lm-eval loaded them.
    """

    def __init__(self, groups: Mapping[str, Group]) -> None:
        self._groups = groups

    def leaves(self, name: str) -> list[str]:
        """Names of the tasks that a group contains, in subgroups too."""
        return [task.task_name for task in self._groups[name].get_all_tasks()]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all groups."""
        return tuple(self._groups)

    @property
    def members(self) -> frozenset[str]:
        """Names of the tasks that are part of a group."""
        return frozenset(task for name in self._groups for task in self.leaves(name))

    @property
    def judging(self) -> dict[str, str]:
        """Digest of how each group's score comes about, by name."""
        return {name: group_digest(group) for name, group in self._groups.items()}

    def aggregate(self, totals: Mapping[str, Mapping[str, float]], sizes: Mapping[str, int]) -> dict[str, float]:
        """Scores of the groups whose tasks have all been scored.

        Args:
            totals: Task name to metric name to value.
            sizes: Number of items per task.

        Returns:
            Values by metric key ``"<group>.<metric>"``.
        """
        known: Any = {
            task: {"sample_len": sizes[task]} | {_with_filter(metric): value for metric, value in values.items()}
            for task, values in totals.items()
        }
        scores = {}
        for name, group in self._groups.items():
            if not set(self.leaves(name)) <= set(totals):
                continue
            found: Mapping[str, Any] = group.aggregate(known)
            for metric, value in found.items():
                if "," in metric and "_stderr," not in metric:
                    scores[f"{name}.{_without_filter(metric)}"] = float(value)
        return scores

    def directions(self, own: Mapping[str, bool]) -> Iterator[tuple[str, bool]]:
        """Direction of each metric that the groups will have: whether more is better.

        Args:
            own: The same for the tasks, by metric key.
        """
        for name in self._groups:
            leaves = self.leaves(name)
            totals = {task: {key[len(task) + 1 :]: 0.0 for key in own if key.startswith(f"{task}.")} for task in leaves}
            for key in self.aggregate(totals, dict.fromkeys(leaves, 1)):
                if key.startswith(f"{name}."):
                    metric = key[len(name) + 1 :]
                    yield key, all(own[f"{task}.{metric}"] for task in leaves if f"{task}.{metric}" in own)


def _with_filter(metric: str) -> str:
    return metric if "," in metric else f"{metric},none"


def _without_filter(metric: str) -> str:
    return metric.removesuffix(",none")

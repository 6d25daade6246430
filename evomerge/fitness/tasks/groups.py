"""Scores of task groups, as lm-eval aggregates them."""

from __future__ import annotations

from collections.abc import Mapping
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
            totals: Task name to metric name to value; NaN where a metric has no finite value, which no group that it
                is part of has then either.
            sizes: Number of items per task.

        Returns:
            Values by metric key ``"<group>.<metric>"``.
        """
        return {
            f"{name}.{metric}": value
            for name, group in self._groups.items()
            if set(self.leaves(name)) <= set(totals)
            for metric, value in _scores(group, totals, sizes).items()
        }

    def directions(self, own: Mapping[str, Mapping[str, bool]]) -> dict[str, bool]:
        """Whether more of a metric is better, by metric key: of the tasks, and of the groups that they form.

        Args:
            own: Task name to metric name to whether more is better.
        """
        found = {f"{task}.{metric}": up for task, metrics in own.items() for metric, up in metrics.items()}
        for name, group in self._groups.items():
            members = {task: own[task] for task in self.leaves(name)}
            totals = {task: dict.fromkeys(metrics, 0.0) for task, metrics in members.items()}
            for metric in _scores(group, totals, dict.fromkeys(members, 1)):
                found[f"{name}.{metric}"] = all(metrics.get(metric, True) for metrics in members.values())
        return found


def _scores(group: Group, totals: Mapping[str, Mapping[str, float]], sizes: Mapping[str, int]) -> dict[str, float]:
    """Values of a group by metric name; arguments as in :meth:`Groups.aggregate`."""
    known: Any = {
        task: {"sample_len": sizes[task]} | {_with_filter(metric): value for metric, value in values.items()}
        for task, values in totals.items()
    }
    found: Mapping[str, Any] = group.aggregate(known)
    return {
        _without_filter(metric): float(value)
        for metric, value in found.items()
        if "," in metric and "_stderr," not in metric
    }


def _with_filter(metric: str) -> str:
    return metric if "," in metric else f"{metric},none"


def _without_filter(metric: str) -> str:
    return metric.removesuffix(",none")

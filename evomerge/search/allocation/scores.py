"""Objectives and constraints as sums of means over the items of tasks, and their estimates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.allocation.proxy import TOGETHER, Blend, blend
from evomerge.analysis.allocation.racing import Part
from evomerge.analysis.allocation.shrinkage import shrunk
from evomerge.analysis.contributions import group_weights
from evomerge.errors import InputError
from evomerge.evaluation import EXPERT, Constraint, Evaluation, Measure, Objective, keys_of
from evomerge.search.allocation.book import AnswerBook, Column
from evomerge.search.allocation.estimate import Estimates
from evomerge.search.allocation.pooled import PoolMeans
from evomerge.search.allocation.settings import AllocationSettings
from evomerge.search.allocation.window import Prefix
from evomerge.store import ProxyUse

__all__ = ["Scores", "columns_of"]

Terms = Sequence[tuple[float, str]]  # weight, metric key


def columns_of(keys: Iterable[str], pool: Mapping[str, object]) -> tuple[Column, ...]:
    """The metrics of items that some metrics of tasks are made of.

    Args:
        keys: Metric keys; one that no task of the pool owns is taken for a group's, of any tasks.
        pool: By task.
    """
    found: dict[Column, None] = {}
    for key in keys:
        owner, _, metric = key.rpartition(".")
        for task in [owner] if owner in pool else pool:
            found.setdefault((task, metric))
    return tuple(found)


class Scores:
    """Estimates of what a search is told, from the answers to a window or to all windows.

    A metric of a task is the mean of its items' contributions, one of a group the mean of its tasks. Metrics that are
    neither (of functions of the whole model, corpus scores) are taken as they were recorded, with no error.

    Args:
        objectives: What to improve.
        constraints: What must hold.
        book: The answers.
        baselines: Evaluations of the baselines on the whole pool: what groups are made of is read off them.
        settings: The estimator, and the smooth metric that ranks candidates of a batch where its ceiling allows.
        measures: What an archive of elites is spread over.

    Attributes:
        objectives: What to improve.
        keys: The metrics of objectives and constraints.
        estimator: Name of the estimator by which candidates of different batches are compared.

    Raises:
        InputError: If the estimator does not fit what the baselines answered.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        book: AnswerBook,
        baselines: Iterable[Evaluation],
        settings: AllocationSettings,
        measures: Sequence[Measure] = (),
    ) -> None:
        self._proxy = settings.proxy
        self._blends: dict[Column, Blend] = {}
        self.objectives = tuple(objectives)
        self.measures = tuple(measures)
        self.estimator = settings.estimator
        self._book = book
        scored = [evaluation for evaluation in baselines if evaluation.error is None]
        experts = [evaluation.digest for evaluation in scored if (evaluation.name or "").startswith(EXPERT)]
        self._means = PoolMeans(settings, book, experts)
        self._sizes = {task: len(ids) for task, ids in book.pool.items()}
        self._units = {task: int(codes.max()) + 1 for task, codes in book.codes.items()}
        keys = keys_of(objectives, measures)
        keys += [constraint.metric for constraint in constraints]
        self.keys = tuple(dict.fromkeys(keys))
        self._shares = {key: self._shared(key, scored) for key in self.keys}
        self._check()

    def _check(self) -> None:
        """Raises an error if the estimator fits no objective or measure; constraints have weighted means."""
        keys = dict.fromkeys(keys_of(self.objectives, self.measures))
        columns = dict.fromkeys((task, key.rpartition(".")[2]) for key in keys for task in self._parts_of(key))
        found = [(".".join(column), problem) for column in columns for problem in self._means.misfit(column)]
        if found:
            raise InputError([f"allocation.estimator for {key}: {problem}; choose another" for key, problem in found])

    def _shared(self, key: str, scored: Sequence[Evaluation]) -> Mapping[str, float]:
        """Weights of the tasks in a metric; empty where it is not made of them."""
        owner, _, metric = key.rpartition(".")
        if owner in self._sizes:
            return {owner: 1.0}
        for evaluation in scored:
            own = {t: evaluation.metrics[f"{t}.{metric}"] for t in self._sizes if f"{t}.{metric}" in evaluation.metrics}
            named = {task: value for task, value in own.items() if task.startswith(f"{owner}_")}
            for group in (named, own):
                weights = group_weights(evaluation.metrics.get(key, np.nan), group, self._sizes) if group else None
                if weights:
                    return weights
        return {}

    def _parts_of(self, key: str) -> Mapping[str, float]:
        """Task to share, of a metric that its items explain; else empty."""
        shares, metric = self._shares[key], key.rpartition(".")[2]
        return shares if all((task, metric) not in self._book.unexplained for task in shares) else {}

    def measure_ceilings(self) -> None:
        """Looks anew, before a batch, at how far the proxy agrees with each metric on what has been answered so far.

        Candidates count that have answered at least half of the pool of a task, or the items that the median candidate
        has, whichever is less.
        """
        for key in self.keys if self._proxy is not None else ():
            metric = key.rpartition(".")[2]
            for task in self._parts_of(key):
                smooth = (task, str(self._proxy))
                if metric != self._proxy and smooth not in self._book.unexplained:
                    self._blends[task, metric] = self._measured((task, metric), smooth)

    @property
    def proxies(self) -> dict[str, ProxyUse]:
        """Metric key of a task to what became of its proxy, as it was measured last."""
        return {
            f"{task}.{metric}": ProxyUse(
                str(self._proxy),
                blend.share,
                blend.ceiling if isfinite(blend.ceiling) else None,
                blend.candidates,
                TOGETHER,
            )
            for (task, metric), blend in self._blends.items()
        }

    def _measured(self, column: Column, smooth: Column) -> Blend:
        wanted, proxy = self._book.answers(column), self._book.answers(smooth)
        both = np.isfinite(wanted) & np.isfinite(proxy)
        number = both.sum(axis=1)
        if not number.any():
            return Blend()
        rows = number >= max(min(wanted.shape[1] / 2.0, float(np.median(number[number > 0]))), 1.0)
        means = [np.where(both, values, 0.0)[rows].sum(axis=1) / number[rows] for values in (wanted, proxy)]
        return blend(*means)

    def _blended(self, column: Column, rows: NDArray[np.int_], items: NDArray[np.int_]) -> NDArray[np.float64]:
        """Answers as they rank candidates of a batch: those of the metric, of its proxy, or of both."""
        values, found = self._book.values(column, rows, items), self._blends.get(column)
        if found is None or found.share == 0.0:
            return values
        smooth = self._book.values((column[0], str(self._proxy)), rows, items)
        return found(values, smooth) if np.isfinite(smooth).all() else values

    def parts(
        self, terms: Terms, evaluations: Sequence[Evaluation], prefix: Prefix, *, blended: bool = False
    ) -> list[Part]:
        """A weighted sum of metrics as parts, one for each task, of candidates that have answered a prefix.

        Where items belong together, clusters stand in their place: the mean stays what it is, and whatever counts
        items, as tests and standard errors do, counts clusters.

        Args:
            terms: The sum.
            evaluations: The candidates' evaluations on the prefix, none failed.
            prefix: The items.
            blended: Whether a proxy may stand in for a metric.
        """
        rows = self._book.rows([evaluation.digest for evaluation in evaluations])
        by_task: dict[str, NDArray[np.float64]] = {}
        constant = np.zeros(len(rows))
        for weight, key in terms:
            shares, metric = self._parts_of(key), key.rpartition(".")[2]
            if not shares:
                constant = constant + weight * np.array([evaluation.metrics[key] for evaluation in evaluations])
            for task, share in shares.items():
                items = prefix.choices[task].rows
                look = self._blended if blended else self._book.values
                values = look((task, metric), rows, items)
                by_task[task] = by_task.get(task, 0.0) + weight * share * values
        found = [
            Part(prefix.choices[task].means(values), prefix.weights[task], self._units.get(task, self._sizes[task]))
            for task, values in by_task.items()
        ]
        if constant.any() or not found:
            found.append(Part(constant[:, None], np.ones(1), exact=True))
        return found

    def minimised(self, evaluations: Sequence[Evaluation], prefix: Prefix) -> list[list[Part]]:
        """The parts of each objective, less being better."""
        return [self.parts(terms, evaluations, prefix, blended=True) for terms in self._signed()]

    def measured(self, evaluations: Sequence[Evaluation], prefix: Prefix) -> list[list[Part]]:
        """The parts of each measure in natural units, of the metrics themselves."""
        return [self.parts(measure.terms, evaluations, prefix) for measure in self.measures]

    def _signed(self) -> list[Terms]:
        return [[(-w if o.higher_is_better else w, key) for w, key in o.terms] for o in self.objectives]

    def answered(self, evaluations: Sequence[Evaluation]) -> NDArray[np.int_]:
        """How many items each candidate has answered in all batches, ``(candidates,)``."""
        return self._book.counts(self._book.rows([evaluation.digest for evaluation in evaluations]))

    def pooled(self, evaluations: Sequence[Evaluation]) -> list[Estimates]:
        """Each objective, less being better, then each measure, by the estimator from all that was answered.

        Errors of metrics of one task are added as if they went together, those of tasks as independent.
        """
        rows = self._book.rows([evaluation.digest for evaluation in evaluations])
        found = [self._summed(terms, evaluations, rows, blended=True) for terms in self._signed()]
        return found + [self._summed(m.terms, evaluations, rows, blended=False) for m in self.measures]

    def _summed(
        self, terms: Terms, evaluations: Sequence[Evaluation], rows: NDArray[np.int_], *, blended: bool
    ) -> Estimates:
        value, errors = np.zeros(len(rows)), dict[str, NDArray[np.float64]]()
        for weight, key in terms:
            shares, metric = self._parts_of(key), key.rpartition(".")[2]
            if not shares:
                value = value + weight * np.array([evaluation.metrics[key] for evaluation in evaluations])
            for task, share in shares.items():
                answers = self._blended_answers((task, metric)) if blended else None
                own = self._means.of((task, metric), rows, answers)
                value = value + weight * share * own.value
                errors[task] = errors.get(task, 0.0) + abs(weight * share) * own.se
        return Estimates(value, np.sqrt(sum((own**2 for own in errors.values()), np.zeros(len(rows)))))

    def _blended_answers(self, column: Column) -> NDArray[np.float64] | None:
        """Answers of all candidates as they rank; None where they are those of the metric."""
        found = self._blends.get(column)
        if found is None or found.share == 0.0:
            return None
        values, smooth = self._book.answers(column), self._book.answers((column[0], str(self._proxy)))
        return np.where(np.isfinite(smooth), found(values, smooth), values)

    def overall(self, evaluations: Sequence[Evaluation]) -> dict[str, Estimates]:
        """Metric key to estimates from all that candidates have answered, drawn towards those of their batch.

        Args:
            evaluations: One of each candidate, none failed.
        """
        rows = self._book.rows([evaluation.digest for evaluation in evaluations])
        groups = self._book.batches[rows]
        found = {}
        for key in self.keys:
            shares, metric = self._parts_of(key), key.rpartition(".")[2]
            value, variance = np.zeros(len(rows)), np.zeros(len(rows))
            for task, share in shares.items():
                own = self._means.of((task, metric), rows)
                value, variance = value + share * own.value, variance + (share * own.se) ** 2
            if not shares:
                value = np.array([evaluation.metrics[key] for evaluation in evaluations])
            se = np.sqrt(variance)
            found[key] = Estimates(shrunk(value, se, groups), se)
        return found

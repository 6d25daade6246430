"""The course of a search as entries: one per evaluation, the same whether a session makes it or finds it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from evomerge.analysis.pareto import hypervolume
from evomerge.evaluation import Ask, Evaluation, Objective
from evomerge.search.events import Asked, Event, Phase, Scored, Told
from evomerge.search.front import Front
from evomerge.tracking._shared.protocol import STEP, Entry

__all__ = ["Course"]


class Course:
    """Turns the events of a search into entries.

    Evaluations come in any order, those of a replay at once and those of several workers as each is done. Entries come
    in the order of the asks, which is the same in every session: an evaluation waits until all that were asked before
    it are there. So a step is the same evaluation for ever, and a tracker that holds steps up to some number needs no
    other memory.

    Args:
        objectives: What the search improves.
        sink: Gets each entry.

    Attributes:
        step: The last step so far; -1 before the baselines.
    """

    def __init__(self, objectives: Sequence[Objective], sink: Callable[[Entry], None]) -> None:
        self.step = -1
        self._objectives = tuple(objectives)
        self._sink = sink
        self._phase = ""
        self._baselines: dict[str, dict[str, float]] = {}
        self._expected: list[Ask] = []
        self._done: dict[Ask, Scored] = {}
        self._plain = False
        self._front: Front | None = None
        self._failures = 0
        self._items = 0

    def __call__(self, event: Event) -> None:
        """Takes an event in."""
        if isinstance(event, Phase):
            self._begin(event)
        elif self._phase == "baselines" and isinstance(event, Scored):
            self._baseline(event.evaluation)
        elif self._phase == "search":
            self._searched(event)

    def _begin(self, event: Phase) -> None:
        if self._phase == "baselines":
            values = {
                f"baseline/{name}/{label}": value
                for name, scores in self._baselines.items()
                for label, value in scores.items()
            }
            self._say(values)
        self._release()
        self._phase = event.phase
        if event.phase == "search" and event.criteria is not None:
            self._plain, self._front = True, Front(event.criteria)

    def _baseline(self, evaluation: Evaluation) -> None:
        if evaluation.error is None and evaluation.name is not None:
            self._baselines[evaluation.name] = self._scores(evaluation)

    def _searched(self, event: Event) -> None:
        if isinstance(event, Scored):
            self._done[event.evaluation.ask] = event
        elif isinstance(event, Asked):
            self._expected += event.asks
        elif isinstance(event, Told) and event.front is not None:
            self._front = event.front
            self._release()  # now that it is known how they compare
        if self._plain:
            self._release()

    def _release(self) -> None:
        """Sends what no earlier ask is waited for."""
        ready: list[Scored] = []
        while self._expected and self._expected[0] in self._done:
            ready.append(self._done.pop(self._expected.pop(0)))
        for place, event in enumerate(ready, start=1):
            values = self._values(event)
            if self._plain or place == len(ready):
                values |= self._so_far()
            self._say(values)

    def _values(self, event: Scored) -> dict[str, float]:
        evaluation = event.evaluation
        failed = evaluation.error is not None
        self._failures += failed
        self._items += event.asked
        if self._plain and self._front is not None:
            self._front.add(evaluation)
        scores = {} if failed else self._scores(evaluation)
        return (
            {f"candidate/{label}": value for label, value in scores.items()}
            | {f"seconds/{part}": seconds for part, seconds in event.seconds.items()}
            | {"failures": self._failures, "items": self._items, "batch": evaluation.batch}
        )

    def _so_far(self) -> dict[str, float]:
        """The best of each objective, the front's size and its hypervolume beyond the worst of the baselines."""
        front = self._front
        if front is None or not len(front):
            return {}
        found: dict[str, float] = {f"best/{label}": value for label, value in front.best().items()}
        found["front"] = len(front)
        reference = self._reference()
        if reference is not None:
            found["hypervolume"] = hypervolume(front.points(), reference)
        return found

    def _reference(self) -> np.ndarray | None:
        """The worst score of the baselines in each objective, minimised; None where a volume says nothing."""
        rows = [scores for scores in self._baselines.values() if len(scores) == len(self._objectives)]
        if len(self._objectives) < 2 or not rows:
            return None
        signs = np.array([-1.0 if objective.higher_is_better else 1.0 for objective in self._objectives])
        return (signs * np.array([[row[o.label] for o in self._objectives] for row in rows])).max(axis=0)

    def _scores(self, evaluation: Evaluation) -> dict[str, float]:
        return {
            objective.label: float(objective.value(evaluation.metrics))
            for objective in self._objectives
            if all(key in evaluation.metrics for _, key in objective.terms)
        }

    def _say(self, values: dict[str, float]) -> None:
        self.step += 1
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        self._sink(Entry(self.step, {**finite, STEP: float(self.step)}, time.time()))

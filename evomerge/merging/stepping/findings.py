"""Findings of steps about whole models: of all sources once per search, of the merged delta once per candidate."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from evomerge.merging.plan.common import Finding
from evomerge.merging.plan.merge_plan import MergePlan
from evomerge.methods import TensorSet
from evomerge.post import DeltaSet, Step

# Candidates whose findings are kept: a candidate is installed again for other items, and baselines come in between.
_KEPT = 16


class Findings:
    """Findings of steps, kept while they hold."""

    def __init__(self) -> None:
        self._surveys: OrderedDict[str, Any] = OrderedDict()
        self._measured: OrderedDict[str, Any] = OrderedDict()

    def of(
        self, plan: MergePlan, surveyed: TensorSet, deltas: Callable[[Sequence[Finding]], DeltaSet]
    ) -> tuple[Finding, ...]:
        """The findings of all steps of a plan, in their order.

        Args:
            plan: The plan.
            surveyed: The tensors that are merged.
            deltas: Gives the merged deltas of all tensors as the first steps leave them, from these steps' findings.
        """
        found: list[Finding] = []
        for place, step in enumerate(plan.steps):
            survey, measured = None, None
            if any(place in active for active in plan.active.values()):
                survey = self._survey(plan, step, surveyed)
                if step.measures:
                    measured = self._measure(plan, place, survey, lambda: deltas(tuple(found)))
            found.append(Finding(survey, measured))
        return tuple(found)

    def _survey(self, plan: MergePlan, step: Step, surveyed: TensorSet) -> Any:
        survey = step.process.survey
        if survey is None:
            return None
        chosen = step.process.surveyed
        options = {name: own for name, own in step.options.items() if chosen is None or name in chosen}
        key = json.dumps([plan.outputs.survey_key, step.process.name, options], sort_keys=True)
        return _kept(self._surveys, key, lambda: survey(surveyed, step.options))

    def _measure(self, plan: MergePlan, place: int, survey: Any, deltas: Callable[[], DeltaSet]) -> Any:
        step, recipe = plan.steps[place], plan.recipe
        measure = step.process.measure
        assert measure is not None
        # What a step and those behind it do changes nothing in the delta that it gets.
        before = replace(recipe, post=recipe.post[:place]).digest
        key = json.dumps([before, step.process.name, step.options], sort_keys=True)
        return _kept(self._measured, key, lambda: measure(deltas(), survey, step.options))


def _kept(known: OrderedDict[str, Any], key: str, make: Callable[[], Any]) -> Any:
    if key not in known:
        known[key] = make()
        if len(known) > _KEPT:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key]

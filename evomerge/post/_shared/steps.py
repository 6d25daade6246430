"""The steps of a recipe: what it names, resolved and put to its coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from evomerge.errors import InputError
from evomerge.methods import coefficient_problems
from evomerge.post._shared.declaration import PostProcess, Values
from evomerge.post._shared.registry import load
from evomerge.recipe import Coefficient, ParameterGroups, PostStep, step_labels

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Step:
    """A step that a recipe names.

    Attributes:
        process: Its declaration.
        label: Its name among the steps of the recipe, see :func:`evomerge.recipe.step_labels`.
        options: Its options, resolved.
        coefficients: Name to values, ``(groups,)``.
    """

    process: PostProcess
    label: str
    options: Mapping[str, Any]
    coefficients: Mapping[str, np.ndarray] = field(default_factory=dict)

    def values(self, row: int) -> Values:
        """The coefficients of one group."""
        return {name: float(values[row]) for name, values in self.coefficients.items()}

    def idle(self, row: int) -> bool:
        """Whether the step changes nothing in one group."""
        return self.process.identity(self.values(row), self.options)

    @property
    def measures(self) -> bool:
        """Whether it has to see the whole merged delta before the first tensor."""
        return self.process.measure is not None and self.process.measures(self.options)


def steps_of(post: Sequence[PostStep]) -> tuple[Step, ...]:
    """The steps of a recipe, options resolved.

    Raises:
        InputError: If a step or an option is unknown, or a value is wrong; all problems.
    """
    labels = step_labels([step.name for step in post])
    steps: list[Step] = []
    problems: list[str] = []
    for place, (label, named) in enumerate(zip(labels, post, strict=True)):
        try:
            process = load(named.name)
            steps.append(Step(process, label, process.resolve(named.options), named.coefficients))
        except InputError as error:
            problems += [f"post[{place}]: {problem}" for problem in error.problems]
    if problems:
        raise InputError(problems)
    return tuple(steps)


def step_problems(post: Sequence[PostStep], groups: ParameterGroups) -> list[str]:
    """Reasons why steps cannot be taken: unknown ones, wrong options and coefficients; one sentence each."""
    try:
        steps = steps_of(post)
    except InputError as error:
        return list(error.problems)
    return [
        f"post[{place}]: step {step.process.name}: {problem}"
        for place, step in enumerate(steps)
        for problem in coefficient_problems(step.process.coefficients(step.options), step.coefficients, groups)
    ]


def coefficients_of(steps: Sequence[Step]) -> tuple[Coefficient, ...]:
    """The coefficients of some steps under the names that they have beside the method's: ``STEP.NAME``."""
    return tuple(
        replace(coefficient, name=f"{step.label}.{coefficient.name}")
        for step in steps
        for coefficient in step.process.coefficients(step.options)
    )

"""The steps after the merge that a user wrote: names, or mappings with options and values that are not searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evomerge import post
from evomerge.errors import InputError, a_number, suggest
from evomerge.genome import GenomeSettings, is_number
from evomerge.options import model_numbers
from evomerge.recipe import Coefficient, PostStep, step_labels

if TYPE_CHECKING:
    from evomerge.post import Step

Written = str | Mapping[str, Any]
"""A step's name, or a mapping with its name under ``step``, its options, and coefficients that are not searched."""


@dataclass(frozen=True)
class WrittenSteps:
    """Steps as a search has them.

    Attributes:
        steps: The steps in their order, options resolved.
        fixed: Values that are not searched, by coefficient: ``lines.beta``.
    """

    steps: tuple[Step, ...]
    fixed: Mapping[str, float]

    @classmethod
    def read(cls, written: Sequence[Written]) -> WrittenSteps:
        """Reads what a user wrote.

        Raises:
            InputError: With everything that is wrong: unknown steps, options and coefficients, and wrong values.
        """
        names = [entry if isinstance(entry, str) else str(entry["step"]) for entry in written]
        steps: list[Step] = []
        fixed: dict[str, float] = {}
        problems: list[str] = []
        for place, (label, entry) in enumerate(zip(step_labels(names), written, strict=True)):
            said = {} if isinstance(entry, str) else {name: value for name, value in entry.items() if name != "step"}
            try:
                step, values = _read(names[place], label, said)
                steps.append(step)
                fixed |= {f"{label}.{name}": value for name, value in values.items()}
            except InputError as error:
                problems += [f"post[{place}]: {problem}" for problem in error.problems]
        if problems:
            raise InputError(problems)
        return cls(tuple(steps), fixed)

    @property
    def coefficients(self) -> tuple[Coefficient, ...]:
        """All coefficients, named as the search space has them."""
        return post.coefficients_of(self.steps)

    @property
    def named(self) -> tuple[PostStep, ...]:
        """The steps of a recipe without coefficients."""
        return tuple(PostStep(step.process.name, step.process.stated(step.options)) for step in self.steps)

    @property
    def model_numbers(self) -> tuple[str, ...]:
        """Set options that are the number of a model, as words: ``post[0].target``."""
        return tuple(
            f"post[{place}].{name}"
            for place, step in enumerate(self.steps)
            for name in model_numbers(step.process.options, step.options)
        )

    def count_problems(self, n_models: int) -> list[str]:
        """Why options do not fit so many merged models, one sentence each."""
        return [
            f"post[{place}]: step {step.process.name}: {problem}"
            for place, step in enumerate(self.steps)
            for problem in step.process.count_problems(n_models, step.options)
        ]

    @property
    def change_alone(self) -> tuple[str, ...]:
        """Names of the steps that change something even where all their coefficients are neutral."""
        neutral = [
            (step, {c.name: self.fixed.get(f"{step.label}.{c.name}", c.neutral) for c in _declared(step)})
            for step in self.steps
        ]
        return tuple(step.label for step, values in neutral if not step.process.identity(values, step.options))

    def settings(self, settings: GenomeSettings) -> GenomeSettings:
        """Settings of a genome in which the values that are not searched are fixed in all groups.

        Raises:
            InputError: If the genome fixes some of them itself.
        """
        if not self.fixed:
            return settings
        if problems := self.given_twice(settings.fixed.get("*", {})):
            raise InputError(problems)
        return replace(settings, fixed={**settings.fixed, "*": {**settings.fixed.get("*", {}), **self.fixed}})

    def given_twice(self, fixed: Mapping[str, Any]) -> list[str]:
        """Values that are also among those that the genome has in all groups, one sentence each."""
        return [
            f"genome.fixed.*.{name}: post gives it too, as {self.fixed[name]:g}; leave out one of them"
            for name in self.fixed
            if name in fixed
        ]

    def to_json(self) -> list[dict[str, Any]]:
        """Everything that candidates depend on, as JSON objects."""
        return [
            {"name": step.process.name, "options": step.process.stated(step.options)}
            | ({"fixed": own} if (own := self._fixed(step)) else {})
            for step in self.steps
        ]

    def _fixed(self, step: Step) -> dict[str, float]:
        names = {f"{step.label}.{c.name}": c.name for c in _declared(step)}
        return {name: self.fixed[full] for full, name in names.items() if full in self.fixed}


def problems(
    written: Sequence[Written], *, based: bool, searched: bool, models: int, fixed: Mapping[str, Any]
) -> list[str]:
    """Reasons why a search cannot have these steps, one sentence each.

    Args:
        written: What the user wrote.
        based: Whether there is a base.
        searched: Whether a recipe's numbers are searched.
        models: How many models are merged; 0 where it is not known.
        fixed: Values that the genome has in all groups, by coefficient.
    """
    if searched:
        return ["post: the recipe has its own; leave it out"]
    found: list[str] = []
    try:
        steps = WrittenSteps.read(written)
        found += (steps.count_problems(models) if models else []) + steps.given_twice(fixed)
    except InputError as error:
        found += error.problems
    if not based:
        found.append("base: steps take the merged model minus the base, so post needs one; set base=...")
    return found


def _declared(step: Step) -> tuple[Coefficient, ...]:
    return step.process.coefficients(step.options)


def _read(name: str, label: str, said: Mapping[str, Any]) -> tuple[Step, dict[str, float]]:
    """One step, and its values that are not searched."""
    process = post.load(name)
    options = process.resolve({key: value for key, value in said.items() if key in process.options})
    step = post.Step(process, label, options)
    declared = {coefficient.name: coefficient for coefficient in _declared(step)}
    problems, fixed = [], {}
    for key, value in said.items():
        if key in process.options:
            continue
        if key not in declared:
            known = [*process.options, *declared]
            problems.append(
                f"step {name} has no option or coefficient {key!r}{suggest(key, known)} (with these options it has "
                f"{', '.join(known) or 'none'})"
            )
        elif (problem := _value_problem(declared[key], value)) is not None:
            problems.append(f"step {name}: {problem}")
        else:
            fixed[key] = float(value)
    if problems:
        raise InputError(problems)
    return step, fixed


def _value_problem(coefficient: Coefficient, value: Any) -> str | None:
    low, high = coefficient.minimum, coefficient.maximum
    if is_number(value) and (low is None or value >= low) and (high is None or value <= high):
        return None
    return f"{coefficient.name} is {value!r}; expected {a_number(low, high)}, or leave it to the search"

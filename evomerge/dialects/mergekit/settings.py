"""Values of parameters: numbers, gradients over depth, and lists of values for parts of tensor names.

mergekit looks a parameter of a tensor up in lists of ``{filter, value}``: the first entry whose filter is part of the
tensor's name has its value; no filter, or ``*``, takes every name. A list of numbers is a line through equally spaced
points over the layers of a slice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evomerge.dialects.mergekit.fields import shown
from evomerge.errors import InputError, suggest

_EXPECTED = "a number, a list of numbers, or a list of {filter, value}"


@dataclass(frozen=True)
class Gradient:
    """A number, or numbers at equal distances over depth.

    Attributes:
        points: At least one.
    """

    points: tuple[float, ...]

    def at(self, depth: float) -> float:
        """The value at a depth, from 0 to 1: between the two nearest points on a straight line."""
        if len(self.points) == 1:
            return self.points[0]
        place = depth * (len(self.points) - 1)
        left = int(place)
        right = min(len(self.points) - 1, left + 1)
        share = place - left
        return (1 - share) * self.points[left] + share * self.points[right]

    def shares(self, depth: float) -> dict[int, float]:
        """The shares that the points have in the value at a depth."""
        place = depth * (len(self.points) - 1)
        left = min(int(place), len(self.points) - 1)
        share = place - left
        return {left: 1 - share} | ({left + 1: share} if share > 0 else {})


@dataclass(frozen=True)
class Setting:
    """The value of one parameter where it is set.

    Attributes:
        choices: ``(filter, values)`` in order, first match wins; a filter of None takes every name.
    """

    choices: tuple[tuple[str | None, Gradient], ...]

    def at(self, tensor: str, depth: float) -> float | None:
        """The value for a tensor at a depth; None where no filter takes it."""
        values = self.of(tensor)
        return None if values is None else values.at(depth)

    def of(self, tensor: str) -> Gradient | None:
        """The values for a tensor; None where no filter takes it."""
        return next((values for part, values in self.choices if part is None or part in tensor), None)

    @property
    def filters(self) -> Iterator[str]:
        """The parts of names that it asks for."""
        return (part for part, _ in self.choices if part is not None)


Parameters = Mapping[str, Setting]


def parameters(value: Any, where: str) -> dict[str, Setting]:
    """Reads a mapping of parameters.

    Raises:
        InputError: With everything in it that is no value.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{where} is {shown(value)}; expected a mapping of names to values")
    problems: list[str] = []
    found: dict[str, Setting] = {}
    for name, item in value.items():
        try:
            found[str(name)] = _setting(item, f"{where}.{name}")
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return found


def _setting(value: Any, where: str) -> Setting:
    if isinstance(value, Mapping):
        raise InputError(f"{where} is {shown(value)}; a filter and its value stand in a list: - filter: ... value: ...")
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return Setting(tuple(_choice(item, f"{where}[{index}]") for index, item in enumerate(value)))
    return Setting(((None, _gradient(value, where, _EXPECTED)),))


def _choice(value: Any, where: str) -> tuple[str | None, Gradient]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} is {shown(value)}; expected {{filter, value}} like the others in this list")
    known = ("filter", "value")
    problems = [f"unsupported key {where}.{key}{suggest(str(key), known)}" for key in value if key not in known]
    part = value.get("filter")
    if part is not None and not isinstance(part, str):
        problems.append(f"{where}.filter is {shown(part)}; expected part of a tensor's name, as a text")
    if "value" not in value:
        problems.append(f"{where} has no value")
    if problems:
        raise InputError(problems)
    return None if part in (None, "*", "") else part, _gradient(value["value"], f"{where}.value", "a number or a list")


def _gradient(value: Any, where: str, expected: str) -> Gradient:
    if isinstance(value, list):
        if not value:
            raise InputError(f"{where} is an empty list; expected {expected}")
        return Gradient(tuple(_number(item, f"{where}[{index}]", "a number") for index, item in enumerate(value)))
    return Gradient((_number(value, where, expected),))


def _number(value: Any, where: str, expected: str) -> float:
    """A number; true and false are 1 and 0, and texts may be numbers: YAML reads 1e-4, without a point, as a text."""
    try:
        number = float(value) if isinstance(value, bool | int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where} is {shown(value)}; expected {expected}")
    return number


def lookup(levels: Sequence[Parameters], name: str, tensor: str, depth: float) -> float | None:
    """The value of a parameter: of the first level that has one for the tensor.

    Args:
        levels: Parameters from the innermost to the outermost.
        name: The parameter's name.
        tensor: The tensor's name.
        depth: Its place in its slice, from 0 to 1.
    """
    for level in levels:
        if name in level and (value := level[name].at(tensor, depth)) is not None:
            return value
    return None


def source(levels: Sequence[Parameters], name: str, tensor: str) -> Gradient | None:
    """The numbers that :func:`lookup` takes the value from."""
    found = (level[name].of(tensor) for level in levels if name in level)
    return next((values for values in found if values is not None), None)

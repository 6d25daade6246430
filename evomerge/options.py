"""Options that plugins declare: one declaration gives the type, the default, the accepted values and the help."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from evomerge.errors import InputError, a_number, suggest

__all__ = ["Option", "RecipeOptions", "model_numbers", "problems", "with_defaults"]

_KINDS = {bool: "true or false", str: "a text"}


@dataclass(frozen=True)
class Option:
    """One setting of a method, a searcher or an executor.

    Attributes:
        default: Value if the user gives none; None means that there is no default and none is needed.
        choices: The accepted values, or None for any of the right type.
        kind: Type of the value.
        doc: One sentence for people.
        low: Smallest accepted number, or None.
        high: Largest accepted number, or None.
        later: Whether there were recipes before there was this option. Recipes then name it only where it is not the
            default, so that those that never heard of it keep their digests.
        of_model: Whether it is the number of a model, counted from 0: where it is set, the order of models matters.
    """

    default: Any
    choices: tuple[Any, ...] | None
    kind: type
    doc: str
    low: float | None = None
    high: float | None = None
    later: bool = False
    of_model: bool = False

    def choosing(self, default: Any, among: tuple[Any, ...] | None = None) -> Option:
        """The same option with another default, and with fewer choices where its owner has fewer."""
        return replace(self, default=default, choices=self.choices if among is None else among)

    def problem(self, name: str, value: Any) -> str | None:
        """A sentence on why a value is refused, or None."""
        if value is None and self.default is None:
            return None
        if self.choices is not None and value not in self.choices:
            known = ", ".join(map(str, self.choices))
            return f"option {name} is {value!r}; it is one of {known}{suggest(str(value), map(str, self.choices))}"
        right = isinstance(value, int | float) if self.kind is float else isinstance(value, self.kind)
        if not right or (isinstance(value, bool) and self.kind is not bool) or not self._in_range(value):
            return f"option {name} is {value!r}; expected {self._expected()}"
        return None

    def _in_range(self, value: Any) -> bool:
        if isinstance(value, float) and not math.isfinite(value):
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def accepted(self) -> str:
        """The accepted values in words, for help."""
        return " | ".join(map(str, self.choices)) if self.choices is not None else self._expected()

    def _expected(self) -> str:
        if self.kind in (int, float):
            return a_number(self.low, self.high, whole=self.kind is int)
        return _KINDS.get(self.kind, f"a value of type {self.kind.__name__}")


def problems(owner: str, declared: Mapping[str, Option], given: Mapping[str, Any]) -> list[str]:
    """Unknown options and wrong values, one sentence each.

    Args:
        owner: Whose options they are, such as ``method ties``.
        declared: Name to declaration.
        given: Name to value, as the user set them.
    """
    unknown = [
        f"{owner} has no option {name!r}{suggest(name, declared)} (it has {', '.join(declared) or 'none'})"
        for name in given
        if name not in declared
    ]
    values = with_defaults(declared, given)
    found = (option.problem(name, values[name]) for name, option in declared.items())
    return unknown + [f"{owner}: {problem}" for problem in found if problem]


def with_defaults(declared: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for every declared option, in the order of their declaration."""
    return {name: given.get(name, option.default) for name, option in declared.items()}


def model_numbers(declared: Mapping[str, Option], given: Mapping[str, Any]) -> list[str]:
    """Names of the options that are the number of a model (:attr:`Option.of_model`) and are set."""
    return [
        name for name, value in with_defaults(declared, given).items() if declared[name].of_model and value is not None
    ]


class RecipeOptions:
    """A merge method or a step after the merge, as far as recipes state its options.

    Args:
        sort: What instances of the class are called in messages, before their name; that of its parent where empty.
    """

    name: str
    options: Mapping[str, Option]
    _sort: ClassVar[str] = "plugin"

    def __init_subclass__(cls, *, sort: str = "", **arguments: Any) -> None:
        """Says what its instances are called."""
        super().__init_subclass__(**arguments)
        if sort:
            cls._sort = sort

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Fills in default options.

        Raises:
            InputError: If options are unknown or have wrong values; names all of them.
        """
        found = problems(f"{self._sort} {self.name}", self.options, options)
        if found:
            raise InputError(found)
        return with_defaults(self.options, options)

    def stated(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options as new recipes state them: resolved, without later ones that have their defaults.

        Raises:
            InputError: As :meth:`resolve`.
        """
        declared = self.options
        return {
            name: value
            for name, value in self.resolve(options).items()
            if not declared[name].later or value != declared[name].default
        }

"""The form of an entry in the table of cases that look at data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from safetensors.torch import load_file

from tests.golden.table.case import Tensors

INPUTS = "inputs"


@dataclass(frozen=True)
class DataFamily:
    """A base and its experts with the statistics, activations and tokens that a case is computed from.

    Attributes:
        root: The folder of all cases.
        name: The case's name.
        case: Its ``case.json``.
        folder: One folder for each model, as transformers would save it.
    """

    root: Path
    name: str
    case: Mapping[str, Any]
    folder: Path

    @property
    def settings(self) -> Mapping[str, Any]:
        """The official function's settings."""
        settings: Mapping[str, Any] = self.case.get("settings", {})
        return settings

    @functools.cached_property
    def experts(self) -> tuple[str, ...]:
        """Names of the experts, in their order: ``expert_1`` and so on."""
        found = (path.stem for path in (self.root / INPUTS).glob("expert_*.safetensors"))
        return tuple(sorted(found, key=lambda name: int(name.removeprefix("expert_"))))

    def model(self, name: str) -> Tensors:
        """All tensors of ``base`` or an expert."""
        return self.inputs(name)

    def inputs(self, name: str) -> Tensors:
        """A file of the inputs: a model, ``tokens``, ``activations`` and others."""
        return load_file(self.root / INPUTS / f"{name}.safetensors")

    def expected(self, case: str) -> Tensors:
        """The result of a case, which may be a statistic that this one was given."""
        return load_file(self.root / case / "expected.safetensors")

    def statistics(self) -> Tensors:
        """The statistics that the case says it was given: a file of its own or of another case."""
        path = Path(str(self.case["statistics"]).split()[0].rstrip(":"))
        own = path.parent == Path() or str(path.parent) == "."
        return load_file((self.root / self.name if own else self.root) / path)


@runtime_checkable
class OfMethod(Protocol):
    """An entry that a merge method gives; ``method`` is its name."""

    method: str


@runtime_checkable
class OfStep(Protocol):
    """An entry that a step after the merge gives; ``step`` is its name."""

    step: str


Compute = Callable[[DataFamily], Tensors]
"""Gives the tensors of a case, under the names that the case expects."""


@dataclass(frozen=True)
class Computed:
    """A result that a function gives.

    Attributes:
        method: Name of the method that it is a result of.
        compute: Gives the tensors.
    """

    method: str
    compute: Compute

    def __call__(self, family: DataFamily) -> Tensors:
        return self.compute(family)


def of_model(statistics: Tensors, model: str) -> dict[str, Any]:
    """The part of a file of statistics that is about one model: names begin with the model's and a slash."""
    return {name.removeprefix(f"{model}/"): array for name, array in statistics.items() if name.startswith(f"{model}/")}

"""The declaration of a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evomerge.options import Option, problems, with_defaults
from evomerge.search.allocation.history import TaskAnswers
from evomerge.search.allocation.window import Choice

__all__ = ["Choose", "PolicySpec"]

Choose = Callable[[TaskAnswers, int, Mapping[str, Any], np.random.Generator], Choice]


@dataclass(frozen=True)
class PolicySpec:
    """One policy, as its file declares it.

    Attributes:
        name: Its file's name.
        title: What it does, one line, with its source.
        choose: A pure function: answers so far to the items of a task, size of its window, options, random numbers to
            the items. It is asked for fewer items than the pool has, and more than none.
        options: Name to declaration.
        chooses: Whether it needs to be told how many items a batch is asked.
        every_batch: Whether random numbers are new in every batch.
        probe: Whether the first batch is asked the whole pool, as the policy learns from candidates that were.
    """

    name: str
    title: str
    choose: Choose
    options: Mapping[str, Option] = field(default_factory=dict)
    chooses: bool = True
    every_batch: bool = True
    probe: bool = False

    def problems(self, given: Mapping[str, Any]) -> list[str]:
        """Problems of options, one sentence each."""
        return problems(f"policy {self.name}", self.options, given)

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options with every default filled in."""
        return with_defaults(self.options, given)

"""One question of a task, as lm-eval asks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evomerge.fitness.splits import canonical, digest


@dataclass(frozen=True, eq=False)
class Item:
    """One question of a task.

    Args:
        id: Its name, from its content.
        doc: lm-eval's document.
        kind: Type of its requests, ``loglikelihood``, ``loglikelihood_rolling`` or ``generate_until``, one per request.
        arguments: Arguments of its requests, as lm-eval built them.
        repeats: How often lm-eval would ask each request.
        options: The answers to choose from; empty when there is nothing to choose.
        gold: Indices of the right options; empty when there are no options or none is right.
        target: The right answer as a text.
    """

    id: str
    doc: Any
    kind: tuple[str, ...]
    arguments: tuple[tuple[Any, ...], ...]
    repeats: int
    options: tuple[str, ...]
    gold: tuple[int, ...]
    target: str

    @property
    def description(self) -> dict[str, Any]:
        """The item as people read it: ``question``, ``options``, ``gold``."""
        # What comes before the options, or the text that is scored.
        return {"question": str(self.arguments[0][0]), "options": list(self.options), "gold": self.target}

    @property
    def content(self) -> str:
        """Hash of everything a model is shown and judged by."""
        return digest(canonical(self.arguments), canonical(self.options), canonical(self.gold), self.target)[:16]

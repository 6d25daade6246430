"""A person's preference among the finalists, as it is written: ``weights:0.7,0.3`` or ``reference:0.6,0.5``.

Numbers are in the order of the objectives, or each has the objective's name, ``weights:t1=0.7,t2=0.3``; objectives that
are not named weigh nothing, and of a reference point none may be left out. A mapping of objectives to numbers,
``{t1.acc: 0.7, t2.acc: 0.3}``, is one of weights, and ``{reference: {t1.acc: 0.6, t2.acc: 0.5}}`` says what it is of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evomerge.analysis.fronts import by_reference, by_weights
from evomerge.errors import InputError, suggest
from evomerge.evaluation import Objective

WEIGHTS, REFERENCE = "weights", "reference"
FORMS = f"{WEIGHTS}:0.7,0.3 and {REFERENCE}:0.6,0.5"

Written = str | Mapping[str, Any]
"""A preference as a person writes it."""


@dataclass(frozen=True)
class Preference:
    """Weights of the objectives, or scores wished for.

    Attributes:
        kind: ``weights`` or ``reference``.
        values: One per objective, in natural units.
    """

    kind: str
    values: tuple[float, ...]

    def choose(self, F: NDArray[np.float64], objectives: Sequence[Objective]) -> int:
        """The row that is preferred.

        Args:
            F: Objective values, less being better, ``(n, m)``.
            objectives: The objectives.
        """
        if self.kind == WEIGHTS:
            return by_weights(F, self.values)
        return by_reference(
            F, [v * (-1.0 if o.higher_is_better else 1.0) for v, o in zip(self.values, objectives, strict=True)]
        )

    @property
    def words(self) -> str:
        """The preference for people."""
        numbers = ", ".join(f"{value:g}" for value in self.values)
        return f"preferred by weights {numbers}" if self.kind == WEIGHTS else f"nearest to the reference {numbers}"


def is_preference(written: Written) -> bool:
    """Whether a member is named by a preference."""
    if isinstance(written, Mapping):
        return True
    return written.partition(":")[0] in (WEIGHTS, REFERENCE) and ":" in written


def read_preference(key: str, written: Written, objectives: Sequence[Objective]) -> Preference:
    """Reads a preference.

    Args:
        key: The key that it was given for, which problems begin with.
        written: As a person writes it.
        objectives: The run's objectives.

    Raises:
        InputError: With everything that is wrong with it.
    """
    if not is_preference(written):
        raise InputError(f"{key}: {written!r} is no preference; write {FORMS}, or {_mapping(objectives)}")
    kind, parts = _parts(written)
    problems: list[str] = []
    named = isinstance(written, Mapping) or any(name for name, _ in parts)
    found = _named(parts, kind, objectives, problems) if named else [_number(part, problems) for _, part in parts]
    if not problems and len(found) != len(objectives):
        labels = ", ".join(o.label for o in objectives)
        problems.append(f"expected {len(objectives)} numbers, for {labels}, came {len(found)}")
    if not problems and kind == WEIGHTS and (min(found) < 0 or not any(found)):
        problems.append("weights must be 0 or more, and one above 0")
    if problems:
        example = f"{kind}:{','.join(f'{_names(o)[-1]}=0.5' for o in objectives)}"
        if isinstance(written, Mapping):
            example = _mapping(objectives) if kind == WEIGHTS else f"{{{kind}: {_mapping(objectives)}}}"
        shown = written if isinstance(written, str) else dict(written)
        raise InputError([f"{key}: {shown!r}: {problem} (write {FORMS}, or {example})" for problem in problems])
    return Preference(kind, tuple(found))


def _parts(written: Written) -> tuple[str, list[tuple[str, Any]]]:
    """The kind of a preference, and its numbers, each with the name that it has, or none."""
    if isinstance(written, Mapping):
        (kind, inside), *more = written.items() or [(WEIGHTS, {})]
        if kind in (WEIGHTS, REFERENCE) and isinstance(inside, Mapping) and not more:
            return kind, list(inside.items())
        return WEIGHTS, list(written.items())
    kind, _, rest = written.partition(":")
    parts = [part.strip().rpartition("=") for part in rest.split(",")]
    return kind, [(name.strip(), number.strip()) for name, _, number in parts]


def _mapping(objectives: Sequence[Objective]) -> str:
    return "{" + ", ".join(f"{objective.label}: 0.5" for objective in objectives) + "}"


def _names(objective: Objective) -> list[str]:
    """The words for an objective: its label, and of a single metric its task."""
    return [objective.label, *([objective.terms[0][1].rpartition(".")[0]] if len(objective.terms) == 1 else [])]


def _number(written: Any, problems: list[str]) -> float:
    try:
        value = math.nan if isinstance(written, bool) else float(written)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        problems.append(f"{written!r} is no number")
    return value


def _named(
    parts: Sequence[tuple[str, Any]], kind: str, objectives: Sequence[Objective], problems: list[str]
) -> list[float]:
    of: dict[str, list[int]] = {}
    for place, objective in enumerate(objectives):
        for name in _names(objective):
            of.setdefault(name, []).append(place)
    found: dict[int, float] = {}
    for name, number in parts:
        if name not in of:
            asked = name or str(number)
            problems.append(f"there is no objective {asked!r}{suggest(asked, of)} (there are {', '.join(of)})")
        elif len(of[name]) > 1:
            labels = ", ".join(objectives[place].label for place in of[name])
            problems.append(f"{name!r} stands for several objectives; write {labels}")
        elif of[name][0] in found:
            problems.append(f"{name!r} is given twice")
        else:
            found[of[name][0]] = _number(number, problems)
    missing = [o.label for place, o in enumerate(objectives) if place not in found]
    if missing and kind == REFERENCE and not problems:
        problems.append(f"a reference point has a score for every objective; {', '.join(missing)} is missing")
    return [found.get(place, 0.0) for place in range(len(objectives))]

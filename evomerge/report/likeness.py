"""The page about models before any search: whether they can be merged, and how alike their deltas are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from evomerge.analysis import Kinship, Likeness, Sums
from evomerge.report.page import asset

_LAYERED, _OUTSIDE = "layer by layer", "outside the layers"
# A cosine between deltas of models that were tuned on unlike data is mostly below the first.
_LITTLE, _MUCH, _LONGER = 0.1, 0.5, 3.0
_DIGITS = 3
_SENTENCES = 3  # of more pairs only those most and least alike have a sentence


@dataclass(frozen=True)
class Compared:
    """Models that were compared with their base.

    Attributes:
        base: Its name.
        models: Names of the models.
        problems: Reasons why they cannot be merged.
        warnings: Differences to know about.
        sums: Of each place: layer, or None outside the layers, and module kind.
        left_out: Tensors that not all have in one shape, which are not compared.
    """

    base: str
    models: tuple[str, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    sums: Mapping[tuple[int | None, str], Sums]
    left_out: tuple[str, ...] = ()

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Positions of all pairs of models."""
        return tuple(itertools.combinations(range(len(self.models)), 2))

    @property
    def verdict(self) -> str:
        """One sentence on whether they can be merged."""
        if not self.problems:
            return "These models can be merged."
        count = len(self.problems)
        return f"These models cannot be merged as they are: {count} problem{'s' if count > 1 else ''}."

    def likeness(self) -> Likeness:
        """Over all tensors."""
        return Sums.over(self.sums.values()).likeness()

    def kinship(self) -> Kinship:
        """Over all tensors."""
        return Sums.over(self.sums.values()).kinship()

    def findings(self) -> Iterator[str]:
        """Sentences on lengths and directions, of all tensors together."""
        if not self.sums:
            return
        found = self.likeness()
        order = np.argsort(found.relative)
        low, high = int(order[0]), int(order[-1])
        if found.relative[low] == 0:
            yield f"{self.models[low]} changes nothing of {self.base}: its delta is zero."
        elif found.relative[high] > _LONGER * found.relative[low]:
            ratio = found.relative[high] / found.relative[low]
            yield (
                f"{self.models[high]} went {ratio:.3g} times as far from {self.base} as {self.models[low]}: with equal "
                "weights it says most of the merge."
            )
        known = [pair for pair in self.pairs if math.isfinite(found.cosine[pair])]
        known.sort(key=lambda pair: -found.cosine[pair])
        for pair in known if len(known) <= _SENTENCES else (known[0], known[-1]):
            said = _alike(float(found.cosine[pair]), float(found.agreement[pair]))
            yield f"{self.models[pair[0]]} and {self.models[pair[1]]} {said}"


@dataclass(frozen=True)
class Grid:
    """A picture of one number per module kind and layer.

    Attributes:
        title: What it shows.
        rows: Module kinds.
        columns: Layers, or one column without a name.
        cells: The numbers, ``(rows, columns)``; NaN where there are none.
        full: The number that is drawn strongest.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: NDArray[np.float64]
    full: float

    def strength(self, value: float) -> float:
        """How strongly a number is drawn, 0 to 1."""
        return min(1.0, abs(value) / self.full) if self.full > 0 else 0.0


def likeness_page(compared: Compared) -> str:
    """The page as one string of HTML; no request leaves it, and it has no script."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals |= {"shown": shown, "cosine": cosine, "isfinite": math.isfinite, "enumerate": enumerate}
    return environment.from_string(asset("likeness.html.j2")).render(
        compared=compared,
        overall=compared.likeness() if compared.sums else None,
        kinship=compared.kinship() if compared.sums else None,
        sections=list(_sections(compared)),
        policy="default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'",
        style=Markup(asset("report.css")),
    )


def shown(value: float) -> str:
    """A number for people; a dash where there is none."""
    return f"{value:.{_DIGITS}g}" if math.isfinite(value) else "–"


def cosine(value: float) -> str:
    """A cosine for people, to two decimals and never minus nothing; a dash where there is none."""
    return f"{round(value, 2) + 0.0:.2f}" if math.isfinite(value) else "–"


def _sections(compared: Compared) -> Iterator[tuple[str, list[Grid], list[Grid]]]:
    """Title, lengths by model, and cosines by pair: of the layers, and of what is in none."""
    for title, layered in ((_LAYERED, True), (_OUTSIDE, False)):
        found = {place: sums.likeness() for place, sums in compared.sums.items() if (place[0] is not None) == layered}
        if not found:
            continue
        lengths = [{place: float(one.relative[i]) for place, one in found.items()} for i in range(len(compared.models))]
        full = max((value for of in lengths for value in of.values() if math.isfinite(value)), default=0.0)
        cosines = {
            f"{compared.models[i]} · {compared.models[j]}": {
                place: float(one.cosine[i, j]) for place, one in found.items()
            }
            for i, j in compared.pairs
        }
        yield (
            title,
            [_grid(name, of, full) for name, of in zip(compared.models, lengths, strict=True)],
            [_grid(name, of, 1.0) for name, of in cosines.items()],
        )


def _grid(title: str, values: Mapping[tuple[int | None, str], float], full: float) -> Grid:
    kinds = list(dict.fromkeys(kind for _, kind in values))
    layers: list[int | None] = [*sorted({layer for layer, _ in values if layer is not None})] or [None]
    cells = np.full((len(kinds), len(layers)), np.nan)
    for (layer, kind), value in values.items():
        cells[kinds.index(kind), layers.index(layer)] = value
    return Grid(title, tuple(kinds), tuple("" if layer is None else str(layer) for layer in layers), cells, full)


def _alike(value: float, agreement: float) -> str:
    numbers = f"cosine {cosine(value)}, {agreement:.0%} of what both changed in the same direction"
    if value > _MUCH:
        return f"changed much the same ({numbers}): little is lost when they are averaged."
    if value < -_LITTLE:
        return f"pull in opposite directions ({numbers}): added, they cancel."
    if value < _LITTLE:
        return (
            f"have next to nothing in common ({numbers}): added, neither hides the other, averaged, each counts less."
        )
    return f"overlap in part ({numbers})."


def as_text(compared: Compared) -> Sequence[str]:
    """The same in lines for a terminal, without the places."""
    lines = [compared.verdict]
    lines += [f"problem: {problem}" for problem in compared.problems]
    lines += [f"warning: {warning}" for warning in compared.warnings]
    if compared.sums:
        found = compared.likeness()
        lines += [
            f"{name}: a delta of {shown(found.relative[i])} times the base's length, "
            f"{found.changed[i]:.1%} of the weights changed"
            for i, name in enumerate(compared.models)
        ]
    return [*lines, *compared.findings()]

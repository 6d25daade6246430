"""Windows: which sums are taken in one pass over the texts, so that they fit into memory together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from evomerge.errors import InputError
from evomerge.statistics._shared.key import Wanted
from evomerge.statistics._shared.observing.sites import Tap, Taps
from evomerge.statistics._shared.registry import load
from evomerge.statistics._shared.statistic import Options, Shape, Statistic


@dataclass(eq=False)
class Sum:
    """One accumulator.

    Attributes:
        key: Of what is wanted.
        statistic: The statistic.
        options: Its options.
        shape: Of the accumulator.
        taps: The tensors whose array it becomes: those with the same input, or one alone.
        total: The sum so far; None before the first addend.
        tokens: Tokens that it is over.
        batches: Batches that it is over.
    """

    key: str
    statistic: Statistic
    options: Options
    shape: Shape
    taps: list[Tap]
    total: torch.Tensor | None = None
    tokens: int = 0
    batches: int = 0

    @property
    def nbytes(self) -> int:
        """Size of the accumulator."""
        return math.prod(self.shape) * self.statistic.dtype.itemsize

    def add(self, seen: torch.Tensor, tokens: int) -> None:
        """Adds what was seen of one sequence or batch."""
        if self.total is None:
            self.total = torch.zeros(self.shape, dtype=self.statistic.dtype, device=seen.device)
        self.statistic.add(self.total, seen.detach(), self.options)
        self.tokens += tokens
        self.batches += 1


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass over the texts.

    Attributes:
        batch: Sequences whose gradients are added before they are used; 0 is a forward pass.
        sums: The sums taken.
    """

    batch: int
    sums: tuple[Sum, ...]


@dataclass(frozen=True)
class Plan:
    """All passes of a collection.

    Attributes:
        passes: The passes.
        aliases: By key, tensors whose array is stored under another's name.
        absent: By key, tensors that have no array.
        notes: By key, tensor to a sentence about its array.
    """

    passes: tuple[Pass, ...]
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    absent: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def plan(
    taps: Taps, wanted: Mapping[str, Wanted], memory: int, done: Mapping[str, Collection[str]] | None = None
) -> Plan:
    """Divides what is wanted into passes.

    Args:
        taps: The tensors of the model.
        wanted: Key to statistic.
        memory: Most bytes of accumulators in one pass.
        done: By key, tensors whose arrays are there already.

    Raises:
        InputError: If a statistic has a problem, or the sums of one tensor alone need more memory; all problems.
    """
    aliases: dict[str, dict[str, str]] = {}
    absent: dict[str, tuple[str, ...]] = {}
    notes: dict[str, dict[str, str]] = {}
    units: dict[int, dict[Any, list[Sum]]] = defaultdict(lambda: defaultdict(list))
    problems: list[str] = []
    for key, one in wanted.items():
        statistic = load(one.statistic)
        options = statistic.resolve(one.options)
        if statistic.at == "states" and taps.stack is None:
            problems.append(
                f"{statistic.name}: the layers of the model cannot be told apart by the names of its parameters, or "
                "more than hidden states goes from one to the next"
            )
        sums = _sums(taps, key, statistic, options)
        if not sums and statistic.at == "output":
            problems.append(f"{statistic.name}: transformers computes nothing in this model that it could be read from")
        stored = {tap.site.name for found in sums for tap in found.taps[:1]}
        aliases[key] = {tap.site.name: found.taps[0].site.name for found in sums for tap in found.taps[1:]}
        aliases[key] |= {name: aliases[key].get(other, other) for name, other in taps.aliases.items()}
        aliases[key] = {name: other for name, other in aliases[key].items() if other in stored}
        named = () if statistic.at == "states" else taps.of
        absent[key] = tuple(name for name in named if name not in stored and name not in aliases[key])
        told = {name: statistic.note(tap.site, options) for name, tap in taps.of.items() if name not in absent[key]}
        notes[key] = {name: text for name, text in told.items() if text is not None}
        for found in sums:
            if found.taps[0].site.name not in (done or {}).get(key, ()):
                batch = int(options.get("batch", 1)) if statistic.backward else 0
                units[batch][_unit(found)].append(found)
    passes: list[Pass] = []
    for batch, of_batch in sorted(units.items()):
        problems += [problem for unit in of_batch.values() if (problem := _room_problem(batch, unit, memory))]
        passes += _windows(batch, of_batch.values(), memory)
    if problems:
        raise InputError(problems)
    return Plan(tuple(passes), aliases, absent, notes)


def _sums(taps: Taps, key: str, statistic: Statistic, options: Options) -> list[Sum]:
    """The accumulators of a statistic, in the order of the tensors; one of all layers together."""
    found: dict[Any, Sum] = {}
    if statistic.at == "states":
        shape = None if taps.stack is None else statistic.shape(taps.stack.site, options)
        return [] if taps.stack is None or shape is None else [Sum(key, statistic, options, shape, [taps.stack])]
    for name, tap in taps.of.items():
        shape = statistic.shape(tap.site, options)
        if shape is None or name in taps.aliases:
            continue
        if statistic.at == "input" and tap.group is None:
            continue  # its rows have different inputs
        # Tensors with the same input have one array, if it has the same form.
        group: Any = (tap.group, shape) if statistic.at == "input" else name
        found.setdefault(group, Sum(key, statistic, options, shape, [])).taps.append(tap)
    return list(found.values())


def _unit(found: Sum) -> Any:
    """Sums that are taken in the same pass: of the same input, output or parameters."""
    tap = found.taps[0]
    if found.statistic.at == "weight_gradient":  # a whole parameter has one gradient
        return "weight", tap.pieces[0].target
    return (found.statistic.at, tap.group) if found.statistic.at == "input" else (found.statistic.at, tap.site.name)


def _room_problem(batch: int, unit: Sequence[Sum], memory: int) -> str | None:
    """The reason why sums find no room, or None."""
    need = unit_bytes(batch, unit)
    if need <= memory:
        return None
    named = ", ".join(dict.fromkeys(one.statistic.name for one in unit))
    square = any(one.shape[0] == one.shape[-1] == one.taps[0].site.inputs for one in unit)
    return (
        f"{named} of {unit[0].taps[0].site.name!r} needs {need} bytes at one time, but statistics.memory is {memory}; "
        "raise it" + (", or set statistics.gram_limit lower" if square else "")
    )


def _windows(batch: int, units: Iterable[Sequence[Sum]], memory: int) -> list[Pass]:
    """Consecutive units, as many at a time as fit."""
    windows: list[list[Sum]] = []
    filled = 0
    for unit in units:
        need = unit_bytes(batch, unit)
        if not windows or filled + need > memory:
            windows.append([])
            filled = 0
        windows[-1] += unit
        filled += need
    return [Pass(batch, tuple(window)) for window in windows]


def unit_bytes(batch: int, unit: Sequence[Sum]) -> int:
    """Bytes of the sums of a unit, and of the gradients that wait for the rest of their batch."""
    waiting = 0
    if batch > 1:
        waiting = 4 * sum(math.prod(one.shape) for one in unit if one.statistic.at == "weight_gradient")
    return waiting + sum(one.nbytes for one in unit)

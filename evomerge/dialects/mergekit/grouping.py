"""Groups of tensors that share their values: few, and with labels that people can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from evomerge.dialects.mergekit.filters import filters
from evomerge.recipe import (
    DEFAULT_LAYER_PATTERN,
    DEFAULT_PATTERNS,
    Group,
    ParameterGroups,
    UnknownTensorName,
    layer_of,
)

_SHOWN = 3  # filters in a label

Rows = list[tuple[Group, int]]
"""Groups, each with the class of its tensors."""


def grouped(classes: Mapping[str, int], preferred: frozenset[str] = frozenset()) -> Rows:
    """Makes groups that sort tensors into classes.

    Where layers do not differ, groups go by parts of names alone; else there are some for each range of layers that
    are alike, and some for what lies outside.

    Args:
        classes: The class of each tensor by name.
        preferred: Parts of names that are taken rather than others.

    Returns:
        The groups in order, first match wins, each with its class.
    """
    layers: dict[int, dict[str, int]] = {}
    outside: dict[str, int] = {}
    for name, of in classes.items():
        number = layer_of(name, DEFAULT_LAYER_PATTERN)
        if number is None:
            outside[name] = of
        else:
            layers.setdefault(number, {})[name] = of
    patterns = {number: {_within(name, number): of for name, of in own.items()} for number, own in layers.items()}
    alike = _alike(patterns)
    if len(alike) <= 1:
        return _unique(list(_named(classes, preferred, "", "all")))
    found: Rows = []
    for first, last in alike:
        inner = {name: of for number in range(first, last + 1) for name, of in layers.get(number, {}).items()}
        label = f"layer {first}" if first == last else f"layers {first}-{last}"
        tails = {_within(name, layer_of(name, DEFAULT_LAYER_PATTERN) or 0): of for name, of in inner.items()}
        found += [(replace(group, layers=(first, last + 1)), of) for group, of in _named(tails, preferred, label, "")]
    found += _named(outside, preferred, "", "outside") if outside else []
    return _unique(found)


def patterned(groups: Sequence[Group], names: Iterable[str]) -> ParameterGroups:
    """Groups with the usual patterns; with one more for names of which these know no kind, which nothing asks for."""
    usual = ParameterGroups(tuple(groups))
    try:
        for name in names:
            usual.place(name)
    except UnknownTensorName:
        return ParameterGroups(tuple(groups), (*DEFAULT_PATTERNS, ("other", "")))
    return usual


def _within(name: str, number: int) -> str:
    """The part of a tensor's name after its layer's number."""
    return name.partition(f".{number}.")[2]


def _alike(patterns: Mapping[int, Mapping[str, int]]) -> list[tuple[int, int]]:
    """Ranges of layers, first and last, in which tensors of one name have one class."""
    found: list[tuple[int, int]] = []
    together: dict[str, int] = {}
    for number in sorted(patterns):
        own = patterns[number]
        same = all(together.get(name, of) == of for name, of in own.items())
        if found and same and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
            together |= own
        else:
            found.append((number, number))
            together = dict(own)
    return found


def _named(
    classes: Mapping[str, int], preferred: frozenset[str], label: str, alone: str
) -> Iterator[tuple[Group, int]]:
    """Groups by parts of names. The last takes every other name; it is called ``alone`` where it is the only one."""
    chosen = filters(tuple(classes), tuple(classes.values()), preferred)
    runs: list[tuple[list[str], int]] = []
    for part, of in chosen:
        if part is None:
            continue
        if runs and runs[-1][1] == of:
            runs[-1][0].append(part)
        else:
            runs.append(([part], of))
    for parts, of in runs:
        yield Group(f"{label} {_words(parts)}".strip(), filters=tuple(parts)), of
    yield Group(label or ("rest" if runs and alone == "all" else alone)), chosen[-1][1]


def _words(parts: Sequence[str]) -> str:
    words = [part.strip(".").removesuffix(".weight") or part for part in parts]
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


def _unique(rows: Rows) -> Rows:
    """The same with labels that differ."""
    labels = distinct(group.label for group, _ in rows)
    return [(replace(group, label=label), of) for (group, of), label in zip(rows, labels, strict=True)]


def distinct(labels: Iterable[str]) -> Iterator[str]:
    """Labels that differ: those that were there before get a number."""
    seen: Counter[str] = Counter()
    for label in labels:
        seen[label] += 1
        yield label if seen[label] == 1 else f"{label} ({seen[label]})"

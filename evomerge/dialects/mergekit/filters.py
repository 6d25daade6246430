"""Parts of names that sort names into classes: few, to be tried in order, first match wins."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence

Filters = tuple[tuple[str | None, int], ...]
"""(part of a name, class) in order; the last part is None and takes the rest."""


@functools.lru_cache(maxsize=256)
def filters(names: tuple[str, ...], classes: tuple[int, ...], preferred: frozenset[str] = frozenset()) -> Filters:
    """Finds parts of names that sort names into classes.

    Args:
        names: The names, all different.
        classes: The class of each.
        preferred: Parts that are taken rather than others that sort as many names.

    Returns:
        Parts with the class of the names they pick; the last is None and takes every other name.
    """
    chosen = _greedy(names, classes, preferred)
    if tuple(classify(chosen, name) for name in names) != classes:
        # Whole names always work if no name comes after one that it contains.
        whole = sorted(zip(names, classes, strict=True), key=lambda pair: -len(pair[0]))
        chosen = (*whole, (None, classes[0]))
    return chosen


def classify(chosen: Filters, name: str) -> int:
    """The class of a name."""
    return next(of for part, of in chosen if part is None or part in name)


def _greedy(names: Sequence[str], classes: Sequence[int], preferred: frozenset[str]) -> Filters:
    """Picks the part that takes most of the names still left and takes them from one class, again and again."""
    # Sets of names are integers with one bit per name: set operations on thousands of names are then single steps.
    holding: dict[str, int] = defaultdict(int)
    members: dict[int, int] = defaultdict(int)
    for position, (name, of) in enumerate(zip(names, classes, strict=True)):
        members[of] |= 1 << position
        for run in _runs(name):
            holding[run] |= 1 << position
        for part in preferred:
            if part in name:
                holding[part] |= 1 << position
    asked = functools.reduce(lambda some, part: some | holding.get(part, 0), preferred, 0)
    # The rest is what no preferred part asks for, and else the largest class.
    last = max(members, key=lambda of: ((members[of] & ~asked).bit_count() if asked else 0, members[of].bit_count()))
    candidates = sorted(holding, key=lambda run: (-holding[run].bit_count(), run not in preferred))
    left = (1 << len(names)) - 1
    chosen: list[tuple[str | None, int]] = []
    while left & ~members[last]:
        best, most, its_class = "", 0, last
        for run in candidates:
            if holding[run].bit_count() < most:
                break  # no later candidate takes more
            picked = holding[run] & left
            if (picked.bit_count(), run in preferred) <= (most, best in preferred):
                continue
            of = classes[picked.bit_length() - 1]
            if of != last and not picked & ~members[of]:
                best, most, its_class = run, picked.bit_count(), of
        # A whole name is a candidate and takes itself, so there is always a best one.
        chosen.append((best, its_class))
        left &= ~holding[best]
    return (*chosen, (None, last))


def _runs(name: str) -> Iterator[str]:
    """Parts of a name from dot to dot, with the dots, so that ``.1.`` is not found in ``.11.``."""
    parts = name.split(".")
    for start in range(len(parts)):
        for stop in range(start + 1, len(parts) + 1):
            run = ".".join(parts[start:stop])
            yield ("." if start else "") + run + ("." if stop < len(parts) else "")

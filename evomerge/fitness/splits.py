"""Which item belongs to which split, and which items of a split are asked.

Everything here follows from hashes: no generator, no state, the same in every process. The split of an item depends on
the item alone, so that two runs never search on what the other one tests on; only the sample within a split follows the
seed.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from evomerge.evaluation import SPLITS

# A text with more different values than this is an answer, not a label.
MOST_LABELS = 20


def digest(*parts: str) -> str:
    """64 hex digits over the parts, which cannot run into each other."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def canonical(value: Any) -> str:
    """JSON text of a document, the same for equal documents; what JSON cannot say is written as its type and a hash."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_opaque)


def _opaque(value: Any) -> str:
    if isinstance(value, bytes):
        return f"bytes:{hashlib.sha256(value).hexdigest()}"
    if hasattr(value, "tolist"):
        return canonical(value.tolist())
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return f"{type(value).__name__}:{value}"


def item_ids(task: str, docs: Iterable[Any]) -> list[str]:
    """Names the items of a task by their content.

    Args:
        task: Name of the task.
        docs: Its documents, in order.

    Returns:
        One id per document: 16 hex digits, and ``-2``, ``-3`` for the second and third of identical documents.
    """
    seen: dict[str, int] = {}
    ids = []
    for doc in docs:
        stem = digest(task, canonical(doc))[:16]
        seen[stem] = seen.get(stem, 0) + 1
        ids.append(stem if seen[stem] == 1 else f"{stem}-{seen[stem]}")
    return ids


def split_of(item: str, fractions: Mapping[str, float]) -> str:
    """The split of an item; identical twins share it.

    Args:
        item: Its id.
        fractions: Of each split, summing to one.

    Returns:
        The name of the split.
    """
    position = int(item[:16], 16) / 2**64
    edge = 0.0
    for name in SPLITS:
        edge += float(fractions.get(name, 0.0))
        if position < edge:
            return name
    return next(name for name in reversed(SPLITS) if fractions.get(name, 0.0) > 0.0)


def sample(items: Sequence[str], strata: Mapping[str, Hashable], limit: int | None, seed: int) -> tuple[str, ...]:
    """Draws items so that each stratum is represented by its share.

    Every stratum is shuffled by keyed hashes and spread evenly over the unit interval from an offset of its own; the
    items that come first are taken. A smaller sample is therefore part of a larger one.

    Args:
        items: Ids, in the order of the task.
        strata: Stratum of each item.
        limit: How many to draw; ``None`` takes all.
        seed: Of the draw.

    Returns:
        The drawn ids, in the order of the task.
    """
    if limit is None or limit >= len(items):
        return tuple(items)
    members: dict[Hashable, list[str]] = defaultdict(list)
    for item in items:
        members[strata.get(item)].append(item)
    place: dict[str, tuple[float, str]] = {}
    for stratum, ids in members.items():
        keys = {item: digest("sample", str(seed), item) for item in ids}
        offset = int(digest("stratum", str(seed), str(stratum))[:13], 16) / 16**13
        for rank, item in enumerate(sorted(ids, key=keys.__getitem__)):
            place[item] = ((rank + offset) / len(ids), keys[item])
    drawn = set(sorted(items, key=place.__getitem__)[:limit])
    return tuple(item for item in items if item in drawn)


def strata(labels: Mapping[str, Any], options: Mapping[str, int]) -> dict[str, Hashable]:
    """Groups items that should be represented alike: by right answer, if answers are labels, and by number of options.

    Args:
        labels: Right answer of each item, where there is one.
        options: Number of options of each item, 0 where there are none.

    Returns:
        Stratum of each item.
    """
    texts = {str(label) for label in labels.values()}
    use_labels = len(texts) <= MOST_LABELS
    return {item: (str(labels.get(item)) if use_labels else "", count) for item, count in options.items()}

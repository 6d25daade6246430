"""Families of tiny models, and the work that transformations get of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evomerge import transforms
from evomerge.checkpoints import open_source
from evomerge.merging import LiveModel
from evomerge.statistics import Calibration, Passage, Wanted, collect, write
from evomerge.transforms import Made, Work

LENGTH = 12


def sequences(count: int, seed: int, vocabulary: int = 200) -> list[list[int]]:
    """Token ids of some texts."""
    drawn = np.random.default_rng(seed)
    return [drawn.integers(3, vocabulary, LENGTH).tolist() for _ in range(count)]


def work(
    kind: str, folders: Sequence[Path], base: Path | None, options: Mapping[str, Any] | None = None, texts: int = 3
) -> Work:
    """The work of a transformation of some folders."""
    declared = transforms.load(kind)
    experts = [open_source(folder) for folder in folders]
    reference = folders[0] if base is None else base
    own = [sequences(texts, seed) for seed in range(len(folders))]
    arrays: dict[str, list[Any]] = {name: [] for name in declared.statistics}
    if declared.statistics:
        live = LiveModel.load(reference)
        for expert, ids in zip(experts, own, strict=True):
            write(live, {name: expert.tensor(name) for name in live.places})
            passages = tuple(Passage(np.array(one, dtype=np.int32), np.arange(len(one)) > 0) for one in ids)
            wanted = {name: Wanted(name) for name in declared.statistics}
            found: dict[str, dict[str, Any]] = {name: {} for name in wanted}
            for window in collect(live, Calibration(passages, LENGTH), wanted):
                for name, values in window.arrays.items():
                    found[name] |= values
            for name in wanted:
                arrays[name].append(found[name].get)
    return Work(
        base=None if base is None else open_source(base),
        experts=experts,
        labels=[folder.name for folder in folders],
        texts=own if declared.texts == "own" else [],
        options=declared.resolve(options or {}),
        load=lambda: LiveModel.load(reference),
        statistics=arrays,
    )


def made(kind: str, *arguments: Any, **settings: Any) -> list[Made]:
    """The models that a transformation makes."""
    return list(transforms.load(kind).make(work(kind, *arguments, **settings)))

"""Sweeps of made-up runs, with jobs that failed, were cut or never began."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evomerge.store.sweep import write_note, write_plan
from tests.report.run_folders import Scenario, acc, write_run
from tests.report.scenarios import HOSTILE, SINGLE, THREE, TWO

SMALL = replace(TWO, candidates=12, layers=2, search_items=12, test_items=20, failures={}, finalists=4)
ONE = replace(SINGLE, candidates=12, layers=2, search_items=12, selection_items=10, test_items=20)
TRIPLE = replace(
    THREE,
    layers=2,
    kinds=False,
    density=False,
    search_items=12,
    selection_items=0,
    test_items=20,
    finalists=4,
)


@dataclass(frozen=True)
class MadeUp:
    """A job of a made-up sweep: what it varies, its run, and how it ended."""

    values: Mapping[str, str]
    run: Scenario | None = None
    note: Mapping[str, Any] | None = None
    finished: bool = True

    @property
    def name(self) -> str:
        return "_".join(f"{key}-{self.values[key]}" for key in sorted(self.values) if self.values[key].isalnum())


def write_sweep(folder: Path, jobs: Sequence[MadeUp]) -> Path:
    """Writes a sweep's folder."""
    names = [f"{job.name}-{n}" for n, job in enumerate(jobs)]
    words = [[f"{key}={value}" for key, value in job.values.items()] for job in jobs]
    keys = {key for job in jobs for key in job.values}
    write_plan(folder, keys, [(name, [*own, f"run_dir={name}"]) for name, own in zip(names, words, strict=True)])
    for name, own, job in zip(names, words, jobs, strict=True):
        if job.run is not None:
            write_run(folder / name, job.run)
            status = {"phase": "done", "finished": job.finished, "reason": "evaluations", "seconds": 61.5}
            (folder / name / "status.json").write_text(json.dumps(status))
            (folder / name / "report.html").write_text("its own report")
        if job.note is not None:
            write_note(folder, name, {"words": own, "seconds": 1.0, "messages": [], **job.note})
    return folder


def _seeded(scenario: Scenario, seed: int, candidates: int) -> Scenario:
    return replace(scenario, seed=seed, candidates=candidates)


FAILED = {"code": 2, "messages": ["evomerge: 1 problem", "  - models: hollow has no weights", ""]}
SWEEPS: dict[str, list[MadeUp]] = {
    "two": [
        *(
            MadeUp({"method": method, "seed": str(seed)}, _seeded(SMALL, seed, count))
            for method, count in (("ties", 12), ("linear", 4))
            for seed in range(3)
        ),
        MadeUp({"method": "slerp", "seed": "0"}, None, FAILED),
        MadeUp({"method": "slerp", "seed": "1"}, replace(SMALL, confirm=False), {"code": 130}, finished=False),
        MadeUp({"method": "slerp", "seed": "2"}),
    ],
    "three": [
        MadeUp({"genome": genome, "method": method, "seed": str(seed)}, _seeded(TRIPLE, seed, a * b))
        for genome, a in (("layer", 1), ("model", 2))
        for method, b in (("ties", 5), ("linear", 3))
        for seed in range(2)
    ],
    "single": [
        MadeUp({"searcher": searcher, "seed": str(seed)}, _seeded(ONE, seed, count))
        for searcher, count in (("cmaes", 12), ("random", 4))
        for seed in range(3)
    ],
    "mixed": [
        MadeUp({"objectives": "[reverse_b.acc,sort_b.acc]"}, SMALL),
        MadeUp({"objectives": "[sort_b.acc]"}, replace(SMALL, objectives=acc("sort_b.acc"))),
        MadeUp({"objectives": "[reverse_b.acc]"}, replace(SMALL, objectives=acc("reverse_b.acc"), confirm=False)),
    ],
    "once": [MadeUp({"method": m}, _seeded(SMALL, n, 8)) for n, m in enumerate(("ties", "linear"))],
    "hostile": [
        MadeUp({"models": f"[evil{HOSTILE}]", "seed": "0"}, replace(SMALL, confirm=False)),
        MadeUp({"models": f"[evil{HOSTILE}]", "seed": "1"}, None, {"code": 1, "messages": [f"Boom {HOSTILE}"]}),
        MadeUp({"models": "[" + ",".join(f"ein-sehr-langer-name-{n}" for n in range(9)) + "]", "seed": "0"}, SMALL),
    ],
    "nothing": [MadeUp({"seed": "0"}, None, FAILED), MadeUp({"seed": "1"})],
}

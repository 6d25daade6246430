"""Seconds that CycleQD's mutation adds to a candidate: the first towards an expert, which decomposes, and later ones.

``python -m experiments.archives.pushes --base B --experts E1 E2 --out results/archives`` merges candidates of task
arithmetic in memory, with no push, one towards one expert, and towards two, and writes processor seconds and seconds by
the clock of each.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evomerge.merging import Checkpoints, Merger
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, PostStep, Recipe, patterns_of
from experiments.machine import machine

_SIZE = {"size": np.full(1, 0.1)}


def candidate(base: CheckpointRef, experts: tuple[CheckpointRef, ...], weight: float, *pushed: int) -> Recipe:
    """Task arithmetic of all experts, pushed towards some, with draws that no other candidate has."""
    key = int(weight * 1e6)
    steps = tuple(PostStep("svd_push", {"model": expert, "draws": f"{key}:1"}, _SIZE) for expert in pushed)
    opened = Checkpoints.open(_plain(base, experts))
    groups = ParameterGroups((Group("all"),), patterns_of(opened.merged_names))
    values = {"weight": np.full((1, len(experts)), weight), "lambda": np.ones(1)}
    return Recipe("task_arithmetic", {}, experts, base, groups, values, post=steps)


def _plain(base: CheckpointRef, experts: tuple[CheckpointRef, ...]) -> Recipe:
    values = {"weight": np.ones((1, len(experts))), "lambda": np.ones(1)}
    return Recipe("task_arithmetic", {}, experts, base, ParameterGroups((Group("all"),)), values)


def timed(merger: Merger, recipe: Recipe) -> dict[str, float]:
    """Processor seconds and seconds by the clock of one merge in memory."""
    cpu, clock = time.process_time(), time.perf_counter()
    for _ in merger.stream(recipe):
        pass
    return {"cpu": round(time.process_time() - cpu, 2), "clock": round(time.perf_counter() - clock, 2)}


def main() -> None:
    """Measures and writes ``pushes.json`` and ``pushes.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--experts", nargs=2, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--candidates", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    base, experts = CheckpointRef(given.base), tuple(map(CheckpointRef, given.experts))
    merger = Merger(Checkpoints.open(_plain(base, experts)))
    rows: list[dict[str, Any]] = []

    def measure(what: str, number: int, *pushed: int) -> None:
        recipe = candidate(base, experts, 0.5 + 0.01 * len(rows), *pushed)
        rows.append({"what": what, "candidate": number, **timed(merger, recipe)})
        print(rows[-1], flush=True)

    timed(merger, candidate(base, experts, 0.4))  # reads the files
    for number in range(given.candidates):
        measure("no push", number)
    measure("one expert, decomposed", 0, 0)
    for number in range(given.candidates):
        measure("one expert, kept", number, 0)
    measure("the other expert, decomposed", 0, 1)
    for number in range(given.candidates):
        measure("two experts, kept", number, 0, 1)
    parameters = sum(spec.numel for spec in merger.checkpoints.reference.specs.values())
    report = {"machine": machine("torch"), "parameters": parameters, "rows": rows}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "pushes.json").write_text(json.dumps(report, indent=1) + "\n")
    (given.out / "pushes.md").write_text(_page(report))


def _page(report: dict[str, Any]) -> str:
    """The table."""
    kinds = dict.fromkeys(row["what"] for row in report["rows"])
    found = {kind: [row for row in report["rows"] if row["what"] == kind] for kind in kinds}
    lines = [
        "# CycleQD's mutation",
        "",
        f"Merging a candidate in memory, {report['parameters'] / 1e6:.0f} million parameters, two experts, task",
        "arithmetic, one thread; medians of the candidates. Made by `experiments/archives/pushes.py`.",
        "Seconds by the clock are those of a machine that others used.",
        "",
        "| candidate | processor seconds | by the clock |",
        "|---|---|---|",
    ]
    for kind, rows in found.items():
        cpu, clock = (float(np.median([row[name] for row in rows])) for name in ("cpu", "clock"))
        lines.append(f"| {kind} | {cpu:.1f} | {clock:.1f} |")
    return "\n".join([*lines, "", f"Machine: {json.dumps(report['machine'])}", ""])


if __name__ == "__main__":
    main()

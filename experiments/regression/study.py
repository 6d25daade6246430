"""The three benchmarks with the code of two checkouts, by turns on one machine, and the ratios of what they measure.

Each checkout runs its own `merge_speed.study`, `scoring.benchmark` and `candidate.study` on the same models; what other
tools take is measured elsewhere and left out, but for stock lm-eval inside the scoring benchmark, whose ratio tells how
quiet the machine was.

Run from the repository root: ``python -m experiments.regression.study --help``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from experiments.machine import machine
from experiments.merge_speed.models import generate

# What each benchmark is told beside its models and where to write; the file that it then leaves there.
BENCHMARKS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "merge_speed": (
        "experiments.merge_speed.study",
        ("--torch", "linear", "--models", "{models}", "--out", "{out}"),
        "135m.json",
    ),
    "scoring": (
        "experiments.scoring.benchmark",
        ("--model", "{models}/base", "--questions", "12", "--repeats", "2", "--out", "{out}/scoring"),
        "scoring.json",
    ),
    "candidate": ("experiments.candidate.study", ("--models", "{models}", "--out", "{out}"), "candidate.json"),
}  # fmt: skip


def measure(name: str, checkout: Path, models: Path, out: Path) -> dict[str, float]:
    """Runs one benchmark of a checkout, unless ``out`` holds its figures.

    Args:
        name: A key of :data:`BENCHMARKS`.
        checkout: The checkout's root.
        models: The folder of base and experts.
        out: Where the benchmark writes.

    Returns:
        Seconds, or tokens, by what they were taken of.

    Raises:
        SystemExit: If the benchmark fails; the message is its own last words.
    """
    module, words, file = BENCHMARKS[name]
    if not (out / file).is_file() or name == "scoring":  # it goes on with the cases that are missing
        out.mkdir(parents=True, exist_ok=True)
        told = [word.format(models=models, out=out) for word in words]
        environment = {**os.environ, "PYTHONPATH": str(checkout), "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", module, *told]
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{checkout}, {module}: {' '.join(done.stderr.splitlines()[-3:])}")
    return {"merge_speed": _merging, "scoring": _scoring, "candidate": _candidate}[name](
        json.loads((out / file).read_text(encoding="utf-8"))
    )


def _merging(data: dict[str, Any]) -> dict[str, float]:
    found = {}
    for method, entry in data["methods"].items():
        for kernels in ("native", "torch") if "torch" in entry else ("native",):
            seconds = entry[kernels]
            label = method if kernels == "native" else f"{method}, torch kernels"
            found |= {
                f"{label}: first candidate": seconds["first"],
                f"{label}: every tensor": min(seconds["every"]),
                f"{label}: one layer": min(seconds["one_layer"]),
            }
    return found


def _scoring(data: dict[str, Any]) -> dict[str, float]:
    found = {}
    for name, case in data["cases"].items():
        found |= {
            f"{name}: seconds": case["ours"]["seconds"],
            f"{name}: forward tokens": case["ours"]["tokens"],
            f"{name}: stock lm-eval": case["stock"]["seconds"],
        }
    return found


def _candidate(data: dict[str, Any]) -> dict[str, float]:
    first, *later = data["ours"]
    return {"first candidate": first["whole"]} | {
        what: median(each[what] for each in later) for what in ("merge", "score", "whole")
    }


def page(data: dict[str, Any]) -> str:
    """The committed table: kinds of figures first, then every figure."""
    about = data["machine"]
    lines = [
        "# The three benchmarks, before and after",
        "",
        f"{about['cpu']}, {about['threads']} threads, {about['date']}; " + json.dumps(about["versions"])[1:-1],
        "",
        f"Before: {data['before']}. Each figure is the least of the rounds of its side; ratios are after to before, "
        f"rounds: {len(data['rounds'])}.",
        "",
        "| benchmark | figures | geometric mean of ratios | least | largest |",
        "|---|---|---|---|---|",
    ]
    ratios = {name: _ratios(data, name) for name in BENCHMARKS}
    for name, found in ratios.items():
        for kind in dict.fromkeys(label.rpartition(": ")[2] for label in found):
            of = [ratio for label, (_, _, ratio) in found.items() if label.rpartition(": ")[2] == kind]
            lines.append(f"| {name} | {kind}, {len(of)} | {geometric_mean(of):.2f} | {min(of):.2f} | {max(of):.2f} |")
    for name, found in ratios.items():
        lines += ["", f"## {name}", "", "| figure | before | after | ratio |", "|---|---|---|---|"]
        lines += [f"| {label} | {old:.4g} | {new:.4g} | {ratio:.2f} |" for label, (old, new, ratio) in found.items()]
    return "\n".join(lines) + "\n"


def _ratios(data: dict[str, Any], name: str) -> dict[str, tuple[float, float, float]]:
    sides = [
        [entry[name][side] for entry in data["rounds"] if side in entry.get(name, {})] for side in ("before", "after")
    ]
    if not all(sides):
        return {}
    before, after = ({label: min(each[label] for each in side) for label in side[0]} for side in sides)
    common = [label for label in before if label in after]
    return {label: (before[label], after[label], after[label] / before[label]) for label in common}


def main() -> None:
    """Measures what is missing and writes ``PREFIX.json`` and ``PREFIX.md``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="root of the other checkout")
    parser.add_argument("--models", type=Path, required=True, help="folder of base (with a tokenizer), one, two, three")
    parser.add_argument("--out", type=Path, required=True, help="PREFIX of the two files written")
    parser.add_argument("--work", type=Path, required=True, help="where the benchmarks write their own figures")
    parser.add_argument("--rounds", type=int, default=1)
    told = parser.parse_args()
    before, after, work = told.before.resolve(), Path.cwd(), told.work.resolve()
    generate("135m", told.models)
    commit = ["git", "-C", str(before), "rev-parse", "--short", "HEAD"]
    data: dict[str, Any] = {
        "machine": machine("torch", "transformers", "lm-eval", "numpy") | {"threads": len(os.sched_getaffinity(0))},
        "before": subprocess.run(commit, capture_output=True, text=True, check=True).stdout.strip(),
        "rounds": [],
    }
    for number in range(told.rounds):
        data["rounds"].append({})
        sides = [("before", before), ("after", after)]
        for name in BENCHMARKS:
            entry = data["rounds"][number].setdefault(name, {})
            for side, checkout in sides if number % 2 == 0 else sides[::-1]:
                out = work / f"round_{number + 1}" / side / name
                entry[side] = measure(name, checkout, told.models.resolve(), out)
                print(f"round {number + 1}, {name}, {side}: done", flush=True)
            told.out.parent.mkdir(parents=True, exist_ok=True)
            told.out.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
            told.out.with_suffix(".md").write_text(page(data), encoding="utf-8")


if __name__ == "__main__":
    main()

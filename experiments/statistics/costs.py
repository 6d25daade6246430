"""Costs of methods that look at data: seconds and bytes to collect, and seconds for a candidate beside `linear`.

    python -m experiments.statistics.costs FOLDER|tiny|135m|1b [--work FOLDER] [--ways fisher regmean ...] [--texts N]
        [--memory BYTES] [--candidates N]

FOLDER holds ``base`` and experts beside it; a size stands for models with random weights, generated for the occasion.
Each figure is a line of results/statistics/costs.jsonl as soon as it is there, and a repeated command goes on. Seconds
are those of the processor, in one thread, so that other work on the machine counts less; waiting for disks is left out.
With ``--candidates 0`` statistics are collected, and nothing is merged. Every way collects from nothing, and removes
what it has collected, which at 1b is up to 15 GB.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch

from evomerge import methods, post
from evomerge.merging import Checkpoints, LiveModel, Merger, PreparedSettings, needs_of
from evomerge.post import steps_of
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, PostStep, Recipe
from evomerge.statistics import Calibration, Keyed, Limits, Passage, StatisticsFolder, Wanted, fill
from experiments import json_lines
from experiments.machine import machine
from experiments.merge_speed.models import SIZES, generate

TEXTS, TOKENS, CANDIDATES = 64, 128, 4
_BY_CLOCK = {"135m"}  # measured before the processor's seconds were, with little other work beside
_PROCESSOR = (
    "Those of 135m are by the clock, with little other work beside; all others are the processor's, without waiting",
    "for disks, on a core that other work may have shared.",
)
WAYS: dict[str, tuple[str, str | None]] = {
    "linear": ("linear", None),
    "task_arithmetic": ("task_arithmetic", None),
    "task_arithmetic + aim": ("task_arithmetic", "aim"),
    "fisher": ("fisher", None),
    "regmean": ("regmean", None),
    "led": ("led", None),
}


def texts(vocabulary: int, count: int) -> Calibration:
    """Random sequences, whose loss is on the second half."""
    draw = np.random.default_rng(0)
    rows = draw.integers(3, vocabulary, (count, TOKENS)).astype(np.int32)
    scored = np.arange(TOKENS) >= TOKENS // 2
    return Calibration(tuple(Passage(row, scored) for row in rows), TOKENS)


def candidate(way: str, folders: Sequence[Path], seed: int) -> Recipe:
    """A recipe of a way with coefficients between its bounds."""
    name, step = WAYS[way]
    method, draw, groups = methods.load(name), np.random.default_rng(seed), (Group("all"),)
    base, *experts = (CheckpointRef(str(folder), fingerprint=folder.name) for folder in folders)
    options = method.resolve({})

    def values(declared: Any, count: int | None) -> np.ndarray:
        shape = (1,) if count is None else (1, count)
        return declared.low + (declared.high - declared.low) * draw.uniform(0.2, 0.8, shape)

    own = {one.name: values(one, len(experts) if one.per_model else None) for one in method.coefficients(options)}
    steps: tuple[PostStep, ...] = ()
    if step is not None:
        process = post.load(step)
        chosen = process.resolve({})
        steps = (PostStep(step, chosen, {one.name: values(one, None) for one in process.coefficients(chosen)}),)
    based = base if method.base != "none" else None
    return Recipe(name, options, tuple(experts), based, ParameterGroups(groups), own, post=steps)


def collected(recipe: Recipe, folder: StatisticsFolder, count: int, limits: Limits) -> tuple[Recipe, dict[str, Any]]:
    """The recipe with its keys, and what collecting them took: seconds, and bytes."""
    steps = steps_of([replace(step, coefficients={}) for step in recipe.post])
    method = methods.load(recipe.method)
    keys: list[str] = []
    found: dict[str, Any] = {"collecting": 0.0, "bytes": 0, "statistics": []}
    for need in needs_of(method, recipe.options, steps):
        shared = need.count(2) == 1
        for source in (recipe.base,) if shared or need.of == "base" else recipe.sources:
            assert isinstance(source, CheckpointRef)
            live = LiveModel.load(source.source)
            calibration = texts(live.model.config.vocab_size, count)
            one = Keyed.of(Wanted(need.statistic), str(source.fingerprint), calibration)
            started = time.process_time()
            fill(folder, live, calibration, [one], limits)
            found["collecting"] += time.process_time() - started
            found["bytes"] += folder.bytes(one.key)
            found["statistics"].append(need.statistic)
            keys += [one.key] * (len(recipe.sources) if need.of == "base" and not shared else 1)
            del live
    return replace(recipe, statistics=tuple(keys)), {**found, "collecting": round(found["collecting"], 2)}


def measured(way: str, folders: Sequence[Path], work: Path, given: argparse.Namespace) -> dict[str, Any]:
    """What collecting takes, and a candidate then."""
    kept = work / "statistics"
    shutil.rmtree(kept, ignore_errors=True)
    folder = StatisticsFolder(kept)
    recipe, found = collected(candidate(way, folders, 0), folder, given.texts, Limits(given.memory))
    if given.candidates:
        found |= merged(way, recipe, folders, folder, work / "prepared", given.candidates)
    shutil.rmtree(kept, ignore_errors=True)
    return found


def merged(
    way: str, recipe: Recipe, folders: Sequence[Path], folder: StatisticsFolder, kept: Path, candidates: int
) -> dict[str, Any]:
    """Seconds of the first candidate, preparation included, and of each after it; bytes of what is prepared."""
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints, prepared=PreparedSettings(str(kept)), statistics=folder)
    live, seconds = LiveModel.load(folders[0], dtype="bfloat16"), []
    for seed in range(candidates):
        started = time.process_time()
        live.install(merger, replace(candidate(way, folders, seed), statistics=recipe.statistics))
        seconds.append(round(time.process_time() - started, 3))
    prepared = sum(path.stat().st_size for path in kept.rglob("*") if path.is_file())
    shutil.rmtree(kept, ignore_errors=True)
    return {"first": seconds[0], "candidate": min(seconds[1:]), "prepared": prepared}


def models(given: str, work: Path) -> Iterator[Path]:
    """The base, then two experts."""
    if given in SIZES:
        yield from generate(given, work / given, ("one", "two"))
        return
    folder = Path(given)
    yield folder / "base"
    yield from sorted(path for path in folder.iterdir() if path.name.startswith("expert") and path.is_dir())[:2]


def row(line: dict[str, Any], lines: Sequence[dict[str, Any]]) -> str:
    """A line of the table; nothing of candidates where none was merged."""
    cells = [
        line["models"], f"`{line['way']}`", ", ".join(sorted(set(line["statistics"]))) or "-",
        str(line["texts"] * line["tokens"]) if line["statistics"] else "-", f"{line['collecting']:.0f}",
        f"{line['bytes'] / 1e6:.1f}",
    ]  # fmt: skip
    if "candidate" not in line:
        return f"| {' | '.join([*cells, *'----'])} |"
    linear = [one["candidate"] for one in lines if (one["models"], one["way"]) == (line["models"], "linear")]
    times = f"{line['candidate'] / linear[0]:.1f}" if linear else ""
    cells += [f"{line['first']:.1f}", f"{line['candidate']:.2f}", times, f"{line['prepared'] / 1e6:.0f}"]
    return f"| {' | '.join(cells)} |"


def page(lines: Sequence[dict[str, Any]]) -> str:
    """The figures for people."""
    about = lines[-1]["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    head = "models | method | statistics | tokens a model | seconds | MB | first | next | times `linear` | prepared, MB"
    return "\n".join(
        [
            "# What methods that look at data cost",
            "",
            f"A base and two experts, {about['cpu']}, {lines[-1]['threads']} thread; {versions}; {about['date']}.",
            "*Seconds* and *MB* are those of collecting, once for all searches. *First* is the first candidate with",
            "what is prepared, *next* each one after it: installing it into a live model, in seconds; a dash where",
            "none was merged.",
            *([] if {line["models"] for line in lines} <= _BY_CLOCK else _PROCESSOR),
            "",
            f"| {head} |",
            "|---" * 10 + "|",
            *(row(line, lines) for line in lines),
            "",
        ]
    )


def main() -> None:
    """Measures what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--texts", type=int, default=TEXTS, help=f"texts of {TOKENS} tokens")
    parser.add_argument("--memory", type=int, default=Limits().memory, help="most bytes of sums at a time")
    parser.add_argument("--candidates", type=int, default=CANDIDATES, help="how many are merged; 0: none")
    parser.add_argument("--work", type=Path, default=Path("experiments/statistics/work"))
    parser.add_argument("--out", type=Path, default=Path("results/statistics"))
    given = parser.parse_args()
    if given.candidates == 1:
        parser.error("--candidates is 1; the first one prepares, so give at least 2, or 0 to collect alone")
    for folder in (given.work, given.out):
        folder.mkdir(parents=True, exist_ok=True)
    file, name = given.out / "costs.jsonl", Path(given.models).name
    done = {(entry["models"], entry["way"]) for entry in json_lines.read(file)}
    folders = list(models(given.models, given.work))
    for way in given.ways:
        if (name, way) in done:
            continue
        found = measured(way, folders, given.work, given)
        about = {"models": name, "way": way, "texts": given.texts, "tokens": TOKENS, "threads": torch.get_num_threads()}
        json_lines.append(file, {**about, **found, "machine": machine("torch", "transformers")})
        (given.out / "costs.md").write_text(page(list(json_lines.read(file))), encoding="utf-8")
        print(f"{name}, {way}: {found}", flush=True)


if __name__ == "__main__":
    main()

"""The page of the study, its figure, and the figures as data, from whatever runs are done."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.end_to_end.figure import draw
from experiments.end_to_end.fronts_page import section as fronts_section
from experiments.end_to_end.material import BENCHMARK, FRESH
from experiments.end_to_end.ours import CONFIRMED, POOL, PROMOTED
from experiments.end_to_end.records import entries
from experiments.end_to_end.summary import Summary, over_runs, percent, points, summaries
from experiments.end_to_end.ways import BUDGET, CORE, DEFAULT, FURTHER, MORE, PEERS, PEERS_MORE, SHOWN, WAYS

CAPTION = "Of every run the claimed and the true score: best observed values lie far above the truth, ours around it"
_INTRODUCTION = f"""
Task arithmetic of tiny decoders (six layers, half a million parameters): two experts, a weight for each of them and
each layer. The fitness is the mean accuracy of two exams, of which either expert can do one half. A run is one of three
families, a benchmark of {BENCHMARK} items of each exam drawn for it, and a seed; all ways to spend the budget have the
same runs. **Every answered item counts**, of baselines, candidates, promotion and confirmation: {BUDGET:,} in all.
*True* is the accuracy on {FRESH:,} fresh items of each exam, which no search could ask.

- The **peers' practice** is that of mergekit-evolve: CMA-ES with its settings on 20 items of each exam drawn once; the
  best observed value is returned, and claimed. It states no interval; its claims are given those that they would have
  if nothing had been chosen by these items.
- **evomerge** searches with `items_per_task={POOL}`, `test_items_per_task={CONFIRMED}`, `confirm.finalists=1`,
  `promote.candidates={PROMOTED}` and what the last table says. It scores base, experts, average and four scales of task
  arithmetic too, compares {PROMOTED} candidates and the mean of CMA-ES on the selection split, and claims what the one
  it returns scores on the test split, which is asked once.

These are toys that show a mechanism: what is measured here is no claim about large models.
""".strip()
_MEANS = (
    "Means over {} runs; in brackets 95 % t intervals over runs, of differences and shares paired by run;\n"
    "what five times the items give is the better of both such ways."
)


def write(work: Path, out: Path) -> None:
    """Writes ``study.md``, ``study.json`` and ``study.png``."""
    found = entries(work / "searches.jsonl")
    if not found:
        return
    machine = json.loads((work / "machine.json").read_text(encoding="utf-8"))
    scores = {entry["run"]: entry["scores"] for entry in entries(work / "baselines.jsonl")}
    core = {way.name for way in CORE}
    runs, ways = summaries([entry for entry in found if entry["way"] in core])
    ways = {way.name: ways[way.name] for way in CORE if way.name in ways}
    baselines = [scores[run] for run in runs]
    lines = ["# End to end at an equal budget of answered items", "", _INTRODUCTION, "", *_figures(ways)]
    lines += ["", *_verdicts(ways, baselines), "", _MEANS.format(len(runs)), "", *_table(ways)]
    lines += ["", *_known(baselines), *_further(found)]
    fronts = entries(work / "fronts.jsonl")
    lines += ["", *fronts_section(fronts)] if fronts else []
    lines += ["", *_settings({entry["way"] for entry in found}), "", _made(machine)]
    out.mkdir(parents=True, exist_ok=True)
    (out / "study.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = {"machine": machine, "baselines": baselines, "searches": found, "fronts": fronts}
    (out / "study.json").write_text(_data(data), encoding="utf-8")
    if {PEERS, SHOWN, MORE} <= ways.keys():
        draw(ways[PEERS], ways[SHOWN], _better(ways), out / "study.png")


def _figures(ways: Mapping[str, Summary]) -> list[str]:
    if not {PEERS, SHOWN, MORE} <= ways.keys():
        return []
    return [f"![{CAPTION}](study.png)"]


def _verdicts(ways: Mapping[str, Summary], baselines: Sequence[Mapping[str, float]]) -> list[str]:
    """Against the targets: 95 % of what five times the items give, claims inside their interval."""
    lines = []
    if {PEERS, SHOWN, MORE} <= ways.keys():
        ours, peers, more = ways[SHOWN], ways[PEERS], _better(ways)
        share, gain = percent(over_runs(ours.true / more.true)), points(over_runs(ours.true - peers.true))
        average = np.array([scores["uniform"] for scores in baselines])
        above = [points(over_runs(way.true - average)) for way in (ours, more)]
        theirs, own = (points(over_runs(way.optimism)) for way in (peers, ours))
        lines += [
            f"- `{SHOWN}`, chosen by three runs that are not among these, reaches {share} of the true score that five",
            f"  times the items give (target: 95 %). Above the uniform average that is {above[0]} points of {above[1]}.",
            f"- Its true score is {gain} points above that of the peers' practice.",
            f"- Claims less the truth: {theirs} points where the best observed value is claimed, {own} for `{SHOWN}`.",
        ]
    held = [ways[way.name].held for way in CORE if way.name in ways and way.items is None]
    if held:
        kept = np.concatenate(held)
        counted = f"{int(kept.sum())} ({100 * kept.mean():.1f} %)"
        lines += [
            f"- Of all {len(kept)} claims by evomerge {counted} have an interval that holds the truth (target: 95 %).",
        ]
    return lines


def _further(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ways that have fewer runs, beside some that have all."""
    further = {way.name for way in FURTHER} & {entry["way"] for entry in found}
    if not further:
        return []
    beside = {PEERS, DEFAULT, MORE, PEERS_MORE, SHOWN}
    runs, ways = summaries([entry for entry in found if entry["way"] in further | beside])
    ways = {way.name: ways[way.name] for way in WAYS if way.name in ways}
    return ["", f"## Further presets, {len(runs)} runs", "", *_table(ways)]


def _better(ways: Mapping[str, Summary]) -> Summary:
    """Of both ways that spend five times the items the one with the better true score."""
    return max((ways[name] for name in (MORE, PEERS_MORE) if name in ways), key=lambda way: float(way.true.mean()))


def _table(ways: Mapping[str, Summary]) -> list[str]:
    lines = [
        "| way | items | candidates | true | claimed | claimed - true | claims that hold | of what 5 times the items give | "
        "true, less the peers' | true, less the default's | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    more = _better(ways)
    for name, own in ways.items():
        share = percent(over_runs(own.true / more.true)) if name not in (MORE, PEERS_MORE) else ""
        gains = [
            points(over_runs(own.true - ways[rival].true)) if rival in ways and name != rival else ""
            for rival in (PEERS, DEFAULT)
        ]
        held = f"{int(own.held.sum())} of {len(own.held)}"
        cells = [
            name, f"{own.items.mean():,.0f}", f"{own.candidates.mean():.0f}", percent(over_runs(own.true)),
            f"{100 * own.claimed.mean():.1f} %", points(over_runs(own.optimism)), held, share, *gains,
            f"{own.seconds.mean():.0f}",
        ]  # fmt: skip
        lines += [f"| {' | '.join(cells)} |"]
    return lines


def _settings(names: Collection[str]) -> list[str]:
    lines = ["| way | what it is | settings |", "|---|---|---|"]
    for way in (way for way in WAYS if way.name in names):
        words = " ".join(f"`{key}={value}`" for key, value in way.settings.items())
        lines += [f"| {way.name} | {way.about} | {words} |"]
    return lines


def _known(baselines: Sequence[Mapping[str, float]]) -> list[str]:
    means = {name: 100 * float(np.mean([row[name] for row in baselines])) for name in baselines[0]}
    scores = ", ".join(f"{name.removeprefix('expert:')} {mean:.1f} %" for name, mean in means.items())
    return [f"True scores of what is merged, means over runs: {scores}."]


def _made(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"Made on {machine['date']}, one core of {machine['cpu']} with other work beside it, {versions}."


def _data(data: Mapping[str, Any]) -> str:
    """JSON with a line for each search."""
    parts = []
    for name, value in data.items():
        rows = ",\n".join(f"  {json.dumps(row)}" for row in value) if isinstance(value, list) else ""
        parts += [f'"{name}": [\n{rows}\n ]' if isinstance(value, list) else f'"{name}": {json.dumps(value)}']
    return "{\n " + ",\n ".join(parts) + "\n}\n"

"""The page of the study, its figure, and the figures as data, from whatever runs are done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.end_to_end.figure import draw
from experiments.end_to_end.fronts_page import section as fronts_section
from experiments.end_to_end.material import BENCHMARK, FRESH
from experiments.end_to_end.ours import CONFIRMED, POOL, PROMOTED
from experiments.end_to_end.records import entries
from experiments.end_to_end.summary import Summary, over_runs, percent, points, summaries
from experiments.end_to_end.ways import BUDGET, MORE, PEERS, SHOWN, WAYS

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
- **evomerge** searches with `items_per_task={POOL} test_items_per_task={CONFIRMED} promote.candidates={PROMOTED}
  confirm.finalists=1` and what the second table says. It scores base, experts and average too, compares {PROMOTED}
  candidates on the selection split, and claims what the returned one scores on the test split, which is asked once.

These are toys that show a mechanism: what is measured here is no claim about large models.
""".strip()


def write(work: Path, out: Path) -> None:
    """Writes ``study.md``, ``study.json`` and ``study.png``."""
    found = entries(work / "searches.jsonl")
    if not found:
        return
    runs, ways = summaries(found)
    ways = {way.name: ways[way.name] for way in WAYS if way.name in ways}
    machine = json.loads((work / "machine.json").read_text(encoding="utf-8"))
    scores = {entry["run"]: entry["scores"] for entry in entries(work / "baselines.jsonl")}
    baselines = [scores[run] for run in runs]
    lines = ["# End to end at an equal budget of answered items", "", _INTRODUCTION, "", *_figures(ways)]
    lines += ["", *_verdicts(ways, baselines), "", *_table(ways), "", *_settings(), "", *_known(baselines)]
    fronts = entries(work / "fronts.jsonl")
    lines += ["", *fronts_section(fronts), "", _made(machine)] if fronts else ["", _made(machine)]
    out.mkdir(parents=True, exist_ok=True)
    (out / "study.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = {"machine": machine, "runs": runs, "baselines": baselines, "ways": {n: _data(w) for n, w in ways.items()}}
    data |= {"fronts": fronts} if fronts else {}
    (out / "study.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    if {PEERS, SHOWN, MORE} <= ways.keys():
        draw(ways[PEERS], ways[SHOWN], ways[MORE], out / "study.png")


def _figures(ways: Mapping[str, Summary]) -> list[str]:
    if not {PEERS, SHOWN, MORE} <= ways.keys():
        return []
    return [f"![{CAPTION}](study.png)"]


def _verdicts(ways: Mapping[str, Summary], baselines: Sequence[Mapping[str, float]]) -> list[str]:
    """Against the targets: 95 % of what five times the items give, claims inside their interval."""
    lines = []
    if {PEERS, SHOWN, MORE} <= ways.keys():
        ours, peers, more = ways[SHOWN], ways[PEERS], ways[MORE]
        share, gain = percent(over_runs(ours.true / more.true)), points(over_runs(ours.true - peers.true))
        average = np.array([scores["uniform"] for scores in baselines])
        above = [points(over_runs(way.true - average)) for way in (ours, more)]
        theirs, own = (points(over_runs(way.optimism)) for way in (peers, ours))
        lines += [
            f"- `{SHOWN}` reaches {share} of the true score that five times the items give (target: 95 %).",
            f"- Above the uniform average that is {above[0]} points of {above[1]}.",
            f"- Its true score is {gain} points above that of the peers' practice.",
            f"- Claims less the truth: {theirs} points where the best observed value is claimed, {own} for `{SHOWN}`.",
        ]
    held = [ways[way.name].held for way in WAYS if way.name in ways and way.items is None]
    if held:
        kept = np.concatenate(held)
        counted = f"{int(kept.sum())} ({100 * kept.mean():.1f} %)"
        lines += [
            f"- Of all {len(kept)} claims by evomerge {counted} have an interval that holds the truth (target: 95 %).",
        ]
    return lines


def _table(ways: Mapping[str, Summary]) -> list[str]:
    lines = [
        "Means over runs; in brackets 95 % t intervals over runs, of differences and shares paired by run.",
        "",
        "| way | items | candidates | true | claimed | claimed - true | claims that hold | of five times the items | "
        "true, less the peers' | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, own in ways.items():
        share = percent(over_runs(own.true / ways[MORE].true)) if MORE in ways and name != MORE else ""
        gain = points(over_runs(own.true - ways[PEERS].true)) if PEERS in ways and name != PEERS else ""
        held = f"{int(own.held.sum())} of {len(own.held)}"
        cells = [
            name, f"{own.items.mean():,.0f}", f"{own.candidates.mean():.0f}", percent(over_runs(own.true)),
            f"{100 * own.claimed.mean():.1f} %", points(over_runs(own.optimism)), held, share, gain,
            f"{own.seconds.mean():.0f}",
        ]  # fmt: skip
        lines += [f"| {' | '.join(cells)} |"]
    return lines


def _settings() -> list[str]:
    lines = ["| way | what it is | settings |", "|---|---|---|"]
    for way in WAYS:
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


def _data(own: Summary) -> dict[str, list[float]]:
    return {name: [round(float(value), 5) for value in getattr(own, name)] for name in Summary.__dataclass_fields__}

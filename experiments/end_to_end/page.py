"""The page of the study, its figure, and the figures as data, from whatever runs are done."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import json_lines
from experiments.end_to_end.figure import draw
from experiments.end_to_end.fronts_page import section as fronts_section
from experiments.end_to_end.material import BENCHMARK, FRESH
from experiments.end_to_end.ours import CONFIRMED, POOL, PROMOTED
from experiments.end_to_end.summary import Summary, redrawn, summaries
from experiments.end_to_end.ways import ALL, BUDGET, MORE, PEERS, SHOWN, WAYS
from experiments.repeats import percent, points

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
    "Means over runs; in brackets 95 % t intervals over runs. Differences and shares are of the runs that both have\n"
    f"done; five times the items: `{MORE}`."
)


def write(work: Path, out: Path) -> None:
    """Writes ``study.md``, ``study.json`` and ``study.png``."""
    found, fronts = json_lines.read(work / "searches.jsonl"), json_lines.read(work / "fronts.jsonl")
    machine = json.loads((work / "machine.json").read_text(encoding="utf-8"))
    baselines = json_lines.read(work / "baselines.jsonl")
    ways = summaries(found, [way.name for way in WAYS])
    lines = ["# End to end at an equal budget of answered items", "", _INTRODUCTION, ""]
    if {PEERS, SHOWN, MORE} <= ways.keys():
        lines += [f"![{CAPTION}](study.png)", "", *_verdicts(ways, baselines), ""]
    lines += [_MEANS, "", *_table(ways), "", *_known(baselines)]
    lines += ["", *fronts_section(fronts)] if fronts else []
    lines += ["", *_settings(ways), "", _made(machine)]
    out.mkdir(parents=True, exist_ok=True)
    (out / "study.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = {"machine": machine, "baselines": baselines, "searches": found, "fronts": fronts}
    (out / "study.json").write_text(_data(data), encoding="utf-8")
    if {PEERS, SHOWN, MORE} <= ways.keys():
        draw(ways[PEERS], ways[SHOWN], ways[MORE], out / "study.png")


def _verdicts(ways: Mapping[str, Summary], baselines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Against the targets: 95 % of what five times the items give, claims inside their interval."""
    ours, peers, more = ways[SHOWN], ways[PEERS], ways[MORE]
    average = {entry["run"]: entry["scores"]["uniform"] for entry in baselines}
    above = [points(way.column("true") - [average[run] for run in way.runs]) for way in (ours, more)]
    evomerge = [ways[way.name] for way in WAYS if way.name in ways and way.items is None]
    every = np.concatenate([way.held for way in evomerge])
    holds = [f"{int(held.sum())} of {len(held)}" for held in (peers.held, ours.held, every)]
    again = np.mean([redrawn(search, CONFIRMED) for way in evomerge for search in way.searches.values()])
    return [
        f"- `{SHOWN}`, chosen by three runs that are not among these, reaches {percent(ours.share(more))} of the true",
        f"  score that five times the items give (target: 95 %): {above[0]} points above the uniform average, where",
        f"  those give {above[1]}.",
        f"- Its true score less that of the peers' practice: {points(ours.less(peers))} points.",
        f"- Claims less the truth: {points(peers.optimism)} points where the best observed value is claimed,",
        f"  {points(ours.optimism)} for `{SHOWN}`.",
        f"- Claims whose interval holds the truth (target: 95 %): {holds[0]} of the peers' practice, {holds[1]} of",
        f"  `{SHOWN}`, {holds[2]} of all searches by evomerge. All of a run claim on the same test items, so these are",
        "  only as many draws of items as there are runs. With test items drawn anew for every returned model, at its",
        f"  true scores, {100 * again:.1f} % of intervals hold the truth.",
    ]


def _table(ways: Mapping[str, Summary]) -> list[str]:
    lines = [
        "| way | runs | items | candidates | true | claimed | claimed - true | claims that hold | "
        "of what 5 times the items give | true, less the peers' | true, less all items' | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, own in ways.items():
        share = percent(own.share(ways[MORE])) if MORE in ways and name != MORE else ""
        gains = [points(own.less(ways[rival])) if rival in ways and name != rival else "" for rival in (PEERS, ALL)]
        items, candidates, claimed, seconds = (
            own.column(field).mean() for field in ("items", "candidates", "claimed", "seconds")
        )
        cells = [
            name, str(len(own.runs)), f"{items:,.0f}", f"{candidates:.0f}", percent(own.column("true")),
            f"{100 * claimed:.1f} %", points(own.optimism), f"{int(own.held.sum())} of {len(own.held)}", share, *gains,
            f"{seconds:.0f}",
        ]  # fmt: skip
        lines += [f"| {' | '.join(cells)} |"]
    return lines


def _settings(names: Collection[str]) -> list[str]:
    lines = ["| way | what it is | settings |", "|---|---|---|"]
    for way in (way for way in WAYS if way.name in names):
        words = " ".join(f"`{key}={value}`" for key, value in way.settings.items())
        lines += [f"| {way.name} | {way.about} | {words} |"]
    return lines


def _known(baselines: Sequence[Mapping[str, Any]]) -> list[str]:
    names = list(baselines[0]["scores"])
    means = {name: 100 * float(np.mean([entry["scores"][name] for entry in baselines])) for name in names}
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

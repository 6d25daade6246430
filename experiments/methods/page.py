"""The table of the study, from whatever searches are done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import json_lines
from experiments.machine import machine

Entry = Mapping[str, Any]
TITLES = {
    "example": "The embedded family",
    "smollm2": "SmolLM2-135M-Instruct: experts for kinds of nouns and for sounds of words",
}
CANDIDATES = 60
"""Of each search."""
_CRITICAL = 1.96  # of held-out items, of which there are hundreds


def committed(out: Path) -> list[Entry]:
    """The searches that ``study.json`` holds; none where there is no such file."""
    file = out / "study.json"
    return list(json.loads(file.read_text(encoding="utf-8"))["searches"]) if file.exists() else []


def write(work: Path, out: Path) -> None:
    """Writes ``study.md`` and ``study.json``."""
    entries = json_lines.read(work / "searches.jsonl")
    out.mkdir(parents=True, exist_ok=True)
    about = machine("torch", "transformers", "pymoo")
    lines = ["# Every merge method at equal budget", "", *_introduction()]
    for family in dict.fromkeys(entry["family"] for entry in entries):
        own = [entry for entry in entries if entry["family"] == family]
        missing = len({entry["way"] for entry in entries}) - len({entry["way"] for entry in own})
        lines += ["", f"## {TITLES[family]}", ""]
        lines += [f"Not finished: {missing} ways are still to be searched.", ""] if missing else []
        lines += _table(own)
    lines += ["", f"Made on {about['date']}, one core of {about['cpu']} with other work beside it."]
    (out / "study.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (out / "study.json").write_text(
        json.dumps({"machine": about, "searches": entries}, indent=1) + "\n", encoding="utf-8"
    )


def _introduction() -> list[str]:
    return [
        "NSGA-II for two objectives, 60 candidates of 64 items, `genome=auto`, every method with its default options.",
        "*Score* is the mean accuracy on held-out items of what a search returns: of the candidates that it compared",
        "on selection items the one with the best mean. The interval is that of the items (95 %), which all searches",
        "of a family share. Hypervolume is that of the confirmed front from the origin. Seconds are those of a whole",
        "search, with what it prepares and asks at its end, by its 60 candidates, and in brackets relative to",
        "task arithmetic's; they are the processor's. Those of the embedded family, and of SmolLM2's first",
        "five (`task_arithmetic`, `linear`, `ties`, `slerp`, `fisher`), are the clock's; there are none where other",
        "work took most of the core meanwhile. SmolLM2's finalists are asked 160 held-out items of each task. Toys",
        "show a mechanism; no claim about large models is made.",
    ]


def _table(entries: Sequence[Entry]) -> list[str]:
    by_way: dict[str, list[Entry]] = {}
    for entry in entries:
        by_way.setdefault(entry["way"], []).append(entry)
    plain = {entry["seed"]: entry for entry in by_way.get("task_arithmetic", ())}
    order = sorted(by_way, key=lambda way: -_mean(by_way[way], "score"))
    shown = {name: np.mean([entry["baselines"][name] for entry in entries if name in entry["baselines"]])
             for name in dict.fromkeys(name for entry in entries for name in entry["baselines"])}  # fmt: skip
    return [
        "Held out, in per cent: " + ", ".join(f"{name} {100 * score:.1f}" for name, score in shown.items()) + ".",
        "",
        "| method | searches | score | less task arithmetic, by seed | hypervolume | seconds a candidate | failed |",
        "|---|---|---|---|---|---|---|",
        *(_row(way, by_way[way], plain) for way in order),
    ]


def _row(way: str, own: Sequence[Entry], plain: Mapping[int, Entry]) -> str:
    score = _mean(own, "score")
    half = _CRITICAL * _mean(own, "se")
    pairs = [(entry, plain[entry["seed"]]) for entry in own if entry["seed"] in plain]
    less = [100 * (entry["score"] - other["score"]) for entry, other in pairs]
    timed = [(entry, other) for entry, other in pairs if None not in (entry["seconds"], other["seconds"])]
    own_seconds = [entry["seconds"] for entry, _ in timed]
    relative = [entry["seconds"] / other["seconds"] for entry, other in timed]
    cells = [
        f"`{way}`",
        str(len(own)),
        f"{100 * score:.1f} [{100 * (score - half):.1f}, {100 * (score + half):.1f}]",
        f"{np.mean(less):+.1f} ({min(less):+.1f} to {max(less):+.1f})" if less else "",
        f"{100 * _mean(own, 'hypervolume'):.1f}",
        f"{np.mean(own_seconds) / CANDIDATES:.2g} ({np.mean(relative):.1f})" if relative else "",
        str(sum(entry["failed"] for entry in own)),
    ]
    return "| " + " | ".join(cells) + " |"


def _mean(entries: Sequence[Entry], what: str) -> float:
    return float(np.mean([entry[what] for entry in entries]))

"""The page of the study, and its figures as data, from whatever is done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import json_lines
from experiments.machine import machine
from experiments.real_models.families import Family
from experiments.real_models.grid import CHOICE, SCORED, answers, read
from experiments.real_models.searches import WAYS
from experiments.real_models.shares import TARGET, Share, interval, share
from experiments.repeats import over_repeats

Searches = Sequence[Mapping[str, Any]]


def write(families: Sequence[Family], work: Path, out: Path) -> None:
    """Writes ``study.md`` and ``study.json``; what these told before and the work does not have stays.

    Args:
        families: The families, of which some may have nothing yet.
        work: What has been made.
        out: Folder of the page.
    """
    text, told = _introduction(), _told(out)
    found: dict[str, Any] = {"machine": machine("torch", "transformers", "lm-eval", "pymoo"), "families": {}}
    today = found["machine"]["date"]
    for family in families:
        points = read(work / f"{family.name}_grid.jsonl")
        before = told.get(family.name, {"grid": None, "searches": []})
        made = [{"made": today, **entry} for entry in json_lines.read(work / f"{family.name}_searches.jsonl")]
        latest = {(entry["seed"], entry["way"]): entry for entry in (*before["searches"], *made)}
        searches = [latest[key] for key in sorted(latest)]
        judged = judge(points) if _corners(points) else before["grid"]
        if not judged and not searches:
            continue
        text += ["", f"## {family.name}", "", f"{family.about[0].upper()}{family.about[1:]}."]
        text += _grid(family, judged) if judged else []
        text += _searches(family, searches) if searches else []
        found["families"][family.name] = {"grid": judged, "searches": searches}
    out.mkdir(parents=True, exist_ok=True)
    (out / "study.md").write_text("\n".join(text) + "\n", encoding="utf-8")
    (out / "study.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _told(out: Path) -> Mapping[str, Any]:
    """The families of the page that is there, each search with the day that it was made."""
    file = out / "study.json"
    if not file.exists():
        return {}
    told = json.loads(file.read_text(encoding="utf-8"))
    for family in told["families"].values():
        family["searches"] = [{"made": told["machine"]["date"], **entry} for entry in family["searches"]]
    return told["families"]


def _corners(points: Mapping[str, Any]) -> bool:
    """Whether both specialists are among the points: shares are of them."""
    return {"0 0", "1 0", "0 1"} <= set(points)


def judge(points: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a grid says.

    Args:
        points: Its points, the specialists ``1 0`` and ``0 1`` among them.

    Returns:
        ``points``: name to accuracies and share on held-out items; ``chosen``: the point with the largest share on
        selection items, and its share on held-out items with an interval; ``best``: the same for the point that is
        best on held-out items, which is no less than what any search over these weights can find, but for chance.
    """

    def specialists(split: str) -> np.ndarray:
        return np.array([answers(points["1 0"], split)[0], answers(points["0 1"], split)[1]])

    held_out, choosing = specialists(SCORED), specialists(CHOICE)
    shares = {name: share(answers(entry, SCORED), held_out) for name, entry in points.items()}
    chosen = max(points, key=lambda name: share(answers(points[name], CHOICE), choosing))
    best = max(shares, key=lambda name: shares[name])

    def described(name: str) -> dict[str, Any]:
        found = interval(answers(points[name], SCORED), held_out)
        return {"point": name, "value": found.value, "low": found.low, "high": found.high}

    return {
        "items": int(held_out.shape[1]),
        "points": {
            name: {"accuracies": [float(v) for v in answers(entry, SCORED).mean(axis=1)], "share": shares[name]}
            for name, entry in points.items()
        },
        "chosen": described(chosen),
        "best": described(best),
    }


def _introduction() -> list[str]:
    return [
        "# Merging real specialists: does one model hold both at once?",
        "",
        "SmolLM2-135M-Instruct, experts fine-tuned from it, task arithmetic, two objectives. The *share of both",
        "specialists at once* of a merge is the smaller of its two accuracies over those of the specialists, on the",
        f"same held-out items; the target is {TARGET}. Intervals are 95 %, by a bootstrap of items. Of the candidates",
        "that a search compared on selection items the one with the largest share there is taken, and scored once on",
        "the held-out items. *Other items* are those of the baselines and of that comparison; seconds are those of one",
        "core beside other work, for candidates alone. Searches made before 2026-11-27 began with base, experts and",
        "their averages, later ones with those of subsets of experts too.",
    ]


def _grid(family: Family, judged: Mapping[str, Any]) -> list[str]:
    points = judged["points"]
    first, second = family.skills[:2]
    a, b, base = points["1 0"]["accuracies"], points["0 1"]["accuracies"], points["0 0"]["accuracies"]
    levels = sorted({level for name in points for level in name.split()}, key=float)
    text = [
        "",
        f"On {judged['items']} held-out items of each task, in per cent: base {_pair(base)}, {first} {_pair(a)}, "
        f"{second} {_pair(b)} ({first} / {second}).",
        "",
        f"### All merges of a grid: one weight for each specialist ({len(points)} points)",
        "",
        f"Share of both specialists at once by the weight of {first} (down) and of {second} (across); around a best "
        "point on the edge, the grid goes on:",
        "",
        f"| | {' | '.join(levels)} |",
        "|---" * (len(levels) + 1) + "|",
    ]
    for level in levels:
        cells = [points.get(f"{level} {other}") for other in levels]
        text.append(
            f"| {level} | {' | '.join('' if cell is None else format(cell['share'], '.3f') for cell in cells)} |"
        )
    chosen, best = judged["chosen"], judged["best"]
    accuracies = points[chosen["point"]]["accuracies"]
    text += [
        "",
        f"Chosen on selection items: weights {chosen['point'].replace(' ', ' and ')}, {_share(chosen)} of both at once "
        f"on held-out items ({_pair(accuracies)}): {Share(chosen['value'], chosen['low'], chosen['high']).verdict}. "
        f"Best of all on the held-out items themselves: {best['point'].replace(' ', ' and ')}, {_share(best)}.",
        _reason(best),
    ]
    return text


def _reason(best: Mapping[str, Any]) -> str:
    """Whether the grid says that no merge of its kind can do it."""
    if best["high"] < TARGET:
        return (
            "That one was chosen by the items that it is scored on, and its whole interval is below the target: "
            "with one weight for each specialist no merge of this grid holds both, however it is searched for."
        )
    return "So the grid does not rule out that one weight for each specialist reaches the target."


def _searches(family: Family, searches: Searches) -> list[str]:
    text = ["", "### Searches", ""]
    text += [f"- *{way}*: {WAYS[way].about}." for way in WAYS if any(entry["way"] == way for entry in searches)]
    text += [
        "",
        "| search | seed | genes | candidates | search items | other items | seconds | "
        f"{' | '.join(family.skills[:2])} | share of both at once | target | made |",
        "|---" * 12 + "|",
    ]
    for entry in searches:
        items, accuracies = entry["items"], " | ".join(f"{100 * value:.1f}" for value in entry["accuracies"])
        other = items["baselines"] + items["selection"]
        text.append(
            f"| {entry['way']} | {entry['seed']} | {entry['genes']} | {entry['candidates']} | {items['search']} | "
            f"{other} | {entry['seconds']:.0f} | {accuracies} | "
            f"{_share(entry['share'])} | {Share(**entry['share']).verdict} | {entry['made']} |"
        )
    text += ["", *_means(searches)]
    return text


def _means(searches: Searches) -> list[str]:
    """A sentence on each way, and on the difference of the two that have a search for each seed."""
    text, by_seed = [], {}
    for way in WAYS:
        own = [entry for entry in searches if entry["way"] == way]
        if not own:
            continue
        values = np.array([entry["share"]["value"] for entry in own])
        by_seed[way] = {entry["seed"]: entry["share"]["value"] for entry in own}
        items = np.mean([entry["items"]["search"] for entry in own])
        reached = int(sum(values >= TARGET))
        verdicts = [Share(**entry["share"]).verdict for entry in own]
        if len(own) == 1:
            text.append(f"- *{way}*, one seed, {items:.0f} search items: {_share(own[0]['share'])}.")
            continue
        text.append(
            f"- *{way}*, {len(own)} seeds, {items:.0f} search items each: {values.mean():.3f} on average "
            f"({values.min():.3f} to {values.max():.3f}); at {TARGET} or above in {reached}, by the intervals reached "
            f"in {verdicts.count('reached')} and missed in {verdicts.count('missed')}."
        )
    seeds = sorted(set(by_seed.get("frugal", {})) & set(by_seed.get("defaults", {})))
    if len(seeds) > 1:
        gaps = np.array([by_seed["frugal"][seed] - by_seed["defaults"][seed] for seed in seeds])
        mean, low, high = over_repeats(gaps)
        text.append(
            f"- *frugal* less *defaults*, seed by seed: {mean:+.3f} ({low:+.3f} to {high:+.3f}, Student's t over "
            f"{len(seeds)} seeds)."
        )
    return text


def _pair(values: Sequence[float]) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in values)


def _share(found: Mapping[str, Any]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
